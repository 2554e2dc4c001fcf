{{ canonical('order_items') }}
