{{ touched_order_ids_of('payments') }}
