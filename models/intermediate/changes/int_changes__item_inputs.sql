{{ input_order_ids_of('order_items') }}
