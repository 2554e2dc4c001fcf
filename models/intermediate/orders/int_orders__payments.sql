{{ config(materialized='view') }}

-- An authorization is no money, a void takes none away that a capture brought, and an unnamed kind is a sale.
{{ payments_of_orders(ref('int_canonical__payments')) }}
