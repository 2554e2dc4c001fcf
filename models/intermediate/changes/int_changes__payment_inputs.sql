{{ input_units_of('payments') }}
