"""The open points of the LettrLabs contract (its section 11)."""

from typing import Literal

from pydantic import Field

from simulator.switches.base import Switches


class LettrLabsSwitches(Switches):
    """Switches of the simulated LettrLabs API; numbers are those of contract lettrlabs, section 11."""

    running_words: tuple[str, ...] = Field(
        ("Pending", "Processing"), min_length=1, description="11.1: words before the end, in their order"
    )
    success_word: str = Field("Completed", description="11.1: word of success")
    failure_word: str = Field("Failed", description="11.1: word of failure")
    deleting_word: str = Field("MarkedForDeletion", description="11.1: word while deletion is pending")
    deleted_word: str = Field("Deleted", description="11.1: word after deletion")
    failure_form: Literal["word", "has_errors", "http_error"] = Field(
        "word", description="11.2: failed upload as status word, as hasErrors with HTTP 200, or as HTTP error"
    )
    failure_code: Literal[400, 409, 422, 500] = Field(400, description="11.3: code of failure_form http_error")
    post_code: Literal[200, 201, 202] = Field(200, description="11.3: success code of POST")
    auth_error_shape: Literal["string", "text", "envelope", "empty"] = Field(
        "string", description="11.3: body of 401: a bare JSON string, plain text, the envelope, or nothing"
    )
    auth_code: Literal[401, 403] = Field(401, description="11.3: missing or wrong key")
    outage_shape: Literal["envelope", "html"] = Field(
        "envelope", description="11.16: body of 429 and 5xx: the envelope, or a page of HTML"
    )
    id_placement: Literal["payload", "metadata", "list"] = Field(
        "payload", description="11.4: POST gives the id in each record, in metadata, or not at all"
    )
    metadata_key: str = Field("conversionId", description="11.4: key of the id for placement metadata")
    one_upload_per: Literal["post", "record"] = Field("post", description="11.5: what makes an upload")
    all_invalid_code: Literal[200, 400] = Field(400, description="11.6: code when no record is valid")
    empty_array: Literal["refused", "accepted"] = Field("refused", description="11.6: an empty array")
    rejected_records: Literal["left_out", "echoed"] = Field(
        "left_out", description="11.7: whether payload also repeats rejected records (without an id)"
    )
    error_texts: Literal["position", "order_id", "plain"] = Field(
        "position", description="11.7: what in the text of a record's error tells which record is meant"
    )
    revenue_request: Literal["any", "number", "string"] = Field(
        "any", description="11.8: accepted type of revenue in requests"
    )
    revenue_echo: Literal["string", "number"] = Field("string", description="11.8: type of revenue in echoes")
    zero_revenue: Literal["accepted", "refused"] = Field("accepted", description="11.8: a revenue of 0")
    revenue_decimals: int | None = Field(
        None, ge=0, le=6, description="11.8: echoes are rounded to so many decimals; None: as sent"
    )
    types: tuple[str, ...] | None = Field(None, description="11.9: the values that type may have; None: any")
    repeated_order_id: Literal["accepted", "dropped", "warned", "rejected"] = Field(
        "warned",
        description="11.10: a used orderId is processed again, dropped silently, dropped with a warning, "
        "or a record error",
    )
    overlong: Literal["reject", "truncate"] = Field("reject", description="11.11: fields above their length")
    event_date: Literal["readable", "with_offset", "past", "anything"] = Field(
        "readable",
        description="11.11: which eventDate is taken: a date-time, one with an offset, one not in the future",
    )
    list_element: Literal["status", "short"] = Field(
        "status", description="11.12: elements of the list are as of the status call, or lack status and source"
    )
    list_order: Literal["newest", "oldest"] = Field("newest", description="11.12: order of the list")
    page_cap: int = Field(500, ge=1, description="11.12: largest pageSize that is honoured")
    list_total: bool = Field(False, description="11.12: metadata of the list carries totalCount")
    list_lag: float = Field(0, ge=0, description="11.12: simulated seconds until a new upload is in the list")
    deletion_allowed: Literal["any", "finished"] = Field(
        "any", description="11.13: which uploads may be deleted; others are refused with 400"
    )
    deletion_seconds: float = Field(5, ge=0, description="11.13: simulated seconds until deletion is done")
    deletion_end: Literal["word", "not_found"] = Field(
        "word", description="11.13: a deleted upload keeps its status record, or is a 404"
    )
    deletion_answer: Literal["record", "nothing", "empty"] = Field(
        "record", description="11.13: DELETE answers with the record, with payload null, or with no body at all"
    )
    repeated_delete_code: Literal[200, 400, 404] = Field(200, description="11.13: code of a repeated DELETE")
    unknown_id_code: Literal[200, 404] = Field(
        404, description="11.14: unknown id, or that of another account: 404, or 200 with errors"
    )
    no_payload: Literal["null", "absent"] = Field("null", description="11.15: payload of an answer that has none")
    unknown_id_payload: Literal["null", "defaults"] = Field(
        "null", description="11.14: payload of the 404 envelope: null, or filled with id 0"
    )
    empty_as: Literal["empty", "null", "absent"] = Field(
        "empty", description="11.15: how errors, warnings and metadata show that they hold nothing"
    )
    file_name: Literal["present", "null", "absent"] = Field("present", description="11.15: fileName")
    upload_date_form: Literal["z", "offset", "naive"] = Field("z", description="11.17: spelling of uploadDate")
    frame: Literal["envelope", "orders"] = Field(
        "envelope", description="3: the orders frame has errorDetails, and neither profile nor metadata"
    )
