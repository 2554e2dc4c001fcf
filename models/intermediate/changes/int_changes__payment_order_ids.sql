{{ touched_units_of('payments') }}
