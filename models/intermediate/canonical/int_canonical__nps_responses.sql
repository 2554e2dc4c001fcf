{{ canonical('nps_responses') }}
