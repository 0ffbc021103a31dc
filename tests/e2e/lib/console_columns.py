"""The columns of the admin console's answers, as PgBouncer 1.26 has them.

Each is `name:type`, type t text, i int4, q int8, n numeric, b bytea; the order counts.
"""

TYPE_NUMBERS = {"t": 25, "i": 23, "q": 20, "n": 1700, "b": 17}

_SOCKET = """type:t user:t database:t replication:t state:t addr:t port:i local_addr:t local_port:i
    connect_time:t request_time:t wait:i wait_us:i close_needed:i ptr:t link:t remote_pid:i tls:t
    application_name:t prepared_statements:i id:i"""

_BUFFERS = " recv_pos:i pkt_pos:i pkt_remain:i send_pos:i send_remain:i pkt_avail:i send_avail:i"

_COUNTS = """server_assignment_count xact_count query_count {received} {sent} xact_time query_time wait_time
    {prefix}client_parse_count {prefix}server_parse_count {prefix}bind_count {prefix}client_login_count"""


def _counts(before, prefix="", received="bytes_received", sent="bytes_sent"):
    names = _COUNTS.format(prefix=prefix, received=received, sent=sent).split()
    return " ".join(f"{before}{name}:n" for name in names)


_DECLARED = {
    "CLIENTS": _SOCKET + " pinned:t",  # the last one is Headgate's own
    "SERVERS": _SOCKET + " pinned:t",
    "SOCKETS": _SOCKET + _BUFFERS,
    "ACTIVE_SOCKETS": _SOCKET + _BUFFERS,
    "PEERS": "peer_id:i host:t port:i pool_size:i",
    "PEER_POOLS": "peer_id:i cl_active_cancel_req:i cl_waiting_cancel_req:i sv_active_cancel:i sv_login:i",
    "DNS_HOSTS": "hostname:t ttl:q addrs:t",
    "DNS_ZONES": "zonename:t serial:q count:i",
    "FDS": """fd:i task:t user:t database:t addr:t port:i cancel:q link:i client_encoding:t std_strings:t datestyle:t
        timezone:t password:t scram_client_key:b scram_server_key:b""",
    "DATABASES": """name:t host:t port:i database:t force_user:t pool_size:i min_pool_size:i reserve_pool_size:i
        server_lifetime:i pool_mode:t load_balance_hosts:t max_connections:i current_connections:i
        max_client_connections:i current_client_connections:i paused:i disabled:i""",
    "POOLS": """database:t user:t cl_active:i cl_waiting:i cl_active_cancel_req:i cl_waiting_cancel_req:i
        sv_active:i sv_active_cancel:i sv_being_canceled:i sv_idle:i sv_used:i sv_tested:i sv_login:i maxwait:i
        maxwait_us:i pool_mode:t load_balance_hosts:t""",
    "USERS": """name:t pool_size:t reserve_pool_size:t pool_mode:t max_user_connections:i current_connections:i
        max_user_client_connections:i current_client_connections:i""",
    "LISTS": "list:t items:i",
    "STATS": "database:t " + _counts("total_", received="received", sent="sent")
    + " " + _counts("avg_", received="recv", sent="sent"),
    "STATS_TOTALS": "database:t " + _counts(""),
    "STATS_AVERAGES": "database:t " + _counts("", prefix="avg_"),
    "TOTALS": "name:t value:n",
    "CONFIG": "key:t value:t default:t changeable:t",
    "MEM": "name:t size:i used:i free:i memtotal:i",
    "STATE": "key:t value:t",
    "VERSION": "version:t",
}  # fmt: skip

COLUMNS = {
    command: [(name, TYPE_NUMBERS[kind]) for name, kind in (column.split(":") for column in text.split())]
    for command, text in _DECLARED.items()
}

# A SHOW of these may have no rows.
MAYBE_EMPTY = {"ACTIVE_SOCKETS", "PEERS", "PEER_POOLS", "DNS_HOSTS", "DNS_ZONES"}

LISTS_ROWS = """databases users peers pools peer_pools free_clients used_clients login_clients free_servers
    used_servers dns_names dns_zones dns_queries dns_pending""".split()

TOTALS_ROWS = [
    before + name
    for before in ("total_", "avg_")
    for name in """server_assignment_count xact_count query_count client_bytes server_bytes xact_time query_time
    wait_time ps_client_parse_count ps_server_parse_count ps_bind_count client_login_count""".split()
]

HELP = """
\tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION
\tSHOW PEERS|PEER_POOLS
\tSHOW FDS|SOCKETS|ACTIVE_SOCKETS|LISTS|MEM|STATE
\tSHOW DNS_HOSTS|DNS_ZONES
\tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS
\tSET key = arg
\tRELOAD
\tPAUSE [<db>]
\tRESUME [<db>]
\tDISABLE <db>
\tENABLE <db>
\tRECONNECT [<db>]
\tKILL [<db>]
\tKILL_CLIENT <client_id>
\tSUSPEND
\tSHUTDOWN
\tSHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS
\tWAIT_CLOSE [<db>]
\tSHOW AUDIT
\tSHOW HOSTS|ROUTES
\tSHOW WAITS|HOLDERS
\tEXPLAIN ROUTE <sql>"""
