-- One revenue: customers, RFM, the grid and every view of the cohorts against orders and refunds.
select
    mart,
    customers,
    expected_customers,
    orders,
    expected_orders,
    net_revenue,
    expected_net_revenue
from {{ ref('int_customers__revenue_reconciliation') }}
where
    customers is distinct from expected_customers
    or orders is distinct from expected_orders
    or net_revenue is distinct from expected_net_revenue
