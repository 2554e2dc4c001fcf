-- What the last runs left behind. `done` is written last of all: a run that began and isn't done was interrupted, and
-- what it was about to touch is touched again.
with front as (

    select
        cast(null as {{ type_string() }}) as run_id,
        cast(null as {{ type_string() }}) as mode
    where false
    {{ and_previous('int_changes__front', 'select run_id, mode from {previous}') }}

),

begun as (

    select
        cast(null as {{ type_string() }}) as run_id,
        cast(null as {{ type_string() }}) as mode
    where false
    {{ and_previous('int_changes__run', 'select run_id, mode from {previous}') }}

),

done as (

    select
        cast(null as {{ type_string() }}) as run_id,
        cast(null as date) as as_of_date,
        cast(null as {{ type_string() }}) as engine,
        cast(null as {{ type_string() }}) as policy_hash,
        cast(null as {{ type_string() }}) as code_hash,
        cast(null as boolean) as has_fingerprints
    where false
    {{ and_previous(
        'int_changes__done',
        'select run_id, as_of_date, engine, policy_hash, code_hash, has_fingerprints from {previous}'
    ) }}

),

always as (

    select 1 as one

),

final as (

    select
        front.run_id as front_run_id,
        front.mode as front_mode,
        begun.run_id as begun_run_id,
        begun.mode as begun_mode,
        done.run_id as done_run_id,
        done.as_of_date as done_as_of_date,
        done.engine as done_engine,
        done.policy_hash as done_policy_hash,
        done.code_hash as done_code_hash,
        coalesce(done.has_fingerprints, false) as has_fingerprints,
        coalesce(begun.run_id != done.run_id, false)
        or coalesce(front.run_id != done.run_id, false) as is_interrupted,
        -- the tier's decision of a run that was killed before it is the one of the run before
        coalesce(begun.run_id != done.run_id and begun.mode = 'full', false) as is_full_interrupted,
        coalesce(front.run_id != done.run_id and front.mode = 'full', false) as is_full_front_interrupted
    from always
    left join front on always.one = 1
    left join begun on always.one = 1
    left join done on always.one = 1

)

select * from final
