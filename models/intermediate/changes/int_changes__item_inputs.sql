{{ input_units_of('order_items') }}
