-- What landed beside what had landed at the last finished run.
{{ chunks_beside('int_changes__landed', 'int_changes__kept_landed') }}
