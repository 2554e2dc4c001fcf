-- What stands landed of the entities that the front follows, in chunks of rows: the sum of the hashes of each. Empty in
-- a run that takes no fingerprints. Of another system than files only how many rows it provides.
-- depends_on: {{ ref('stg_files__orders') }}
{{ landed_chunks() }}
