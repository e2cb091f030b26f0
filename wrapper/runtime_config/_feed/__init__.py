"""The watch behind all subscriptions of a store, and what it delivers to.

feed         the thread that keeps one watch going, whatever happens to it
continuity   can the watch be resumed: the same store, with its history?
cursor       replies to whole transactions (pure)
stream       one watch stream
watchdog     cancels a stream that is dead
audit        does what was delivered add up to what the store holds?
sink, sinks  what is delivered to, one and all
buffer       what waits for a subscription's consumer, in bounded memory
consumer     what the consumer has received, and the items that say what is new
inbox        a subscription without its waiting: the buffer on one side, the next item on the other
"""
