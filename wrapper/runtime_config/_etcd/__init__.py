"""etcd: how to reach it, what to ask it, and what its answers mean. Knows nothing of subscriptions.

layout, records      names and etcd keys; what is read, as plain data
messages, writes     requests and replies; what a write consists of (pure)
grpc_status, backoff what a failure means; how long to wait (pure)
giving_up            calls that nobody waits for any more
endpoints, channel   connections, one at a time, replaced when one fails
tokens, calls        one call with a deadline
listing, reader      reads below one root
writer               writes, and settling those without a verdict
identity             the name by which a replaced store is recognised
"""
