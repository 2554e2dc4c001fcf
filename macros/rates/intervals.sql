{#- Bounds of the 95 % interval of a share in 0–1 seen among `n`, after Wilson (1927), "Probable Inference, the Law of
    Succession, and Statistical Inference", JASA 22 (158), p. 209–212: never outside 0–1, of a width above 0 for shares
    of 0 and 1, defined from n = 1, null for 0.

    For the mean of values between two bounds, scaled to 0–1, it is conservative: the variance of such values is at most
    mean × (1 − mean), that of a share (Bhatia and Davis (2000), "A Better Bound on the Variance", American Mathematical
    Monthly 107 (4), p. 353–357). -#}
{% macro wilson_bound(share, n, side) -%}
{%- if side not in ('low', 'high') -%}
    {{ exceptions.raise_compiler_error("wilson_bound: side is 'low' or 'high', not '" ~ side ~ "'") }}
{%- endif -%}
{%- set z = 1.959963984540054 -%}
{%- set count = "nullif(cast(" ~ n ~ " as " ~ type_double() ~ "), 0)" -%}
case when {{ n }} > 0 then {{ 'greatest(0.0, ' if side == 'low' else 'least(1.0, ' }}(
    {{ share }} + {{ z * z }} / (2 * {{ count }})
    {{ '-' if side == 'low' else '+' }} {{ z }} * sqrt(
        greatest(0.0, {{ share }} * (1 - {{ share }})) / {{ count }} + {{ z * z }} / (4 * {{ count }} * {{ count }})
    )
) / (1 + {{ z * z }} / {{ count }})) end
{%- endmacro %}
