"""What a schema cannot say: which values only make sense if an earlier answer gave them."""

import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    # A key stands for one request; the same one with another body is refused, as it must be.
    # Only good requests: an edit makes the tool judge a bad one anew, without what it left out of it.
    is_good = case.meta is None or case.meta.generation.mode.is_positive
    if is_good and case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())


@schemathesis.hook
def map_query(context, query):
    # A cursor is that of the page before, or none.
    if query and "cursor" in query:
        query = {key: value for key, value in query.items() if key != "cursor"}
    return query
