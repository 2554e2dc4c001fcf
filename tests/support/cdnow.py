"""The CDNOW 1/10 sample as a canonical orders table: each line an order, order_id its line number."""

from __future__ import annotations

from pathlib import Path


def insert_cdnow(data: Path) -> str:
    """SQL that fills raw.orders from the sample below `data`."""
    return f"""
        insert into raw.orders by name
        with lines as (
            select row_number() over () as line, regexp_split_to_array(trim(line), '\\s+') as parts
            from read_csv(
                '{data}/cdnow_sample.txt',
                columns = {{'line': 'varchar'}}, delim = '\\t', header = false, parallel = false
            )
        )
        select
            cast(line as varchar) as order_id,
            parts[2] as customer_id,
            parts[3][1:4] || '-' || parts[3][5:6] || '-' || parts[3][7:8] as ordered_at,
            parts[5] as total,
            'cdnow_sample.txt' as _ritorno_file,
            line as _ritorno_line,
            1 as _ritorno_batch
        from lines
    """
