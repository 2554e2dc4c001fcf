{{ touched_units_of('order_items') }}
