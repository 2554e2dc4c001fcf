{{ canonical('products') }}
