"""The open points of the myIPR contract (its section 8)."""

from typing import Any, Literal

from pydantic import Field

from simulator.switches.base import Switches


class MyIPRSwitches(Switches):
    """Switches of the simulated myIPR Open API; numbers are those of contract myipr, section 8."""

    http_code: Literal["true", "always_200"] = Field(
        "true", description="8.2: the HTTP code equals the envelope's status, or is 200 whatever it says"
    )
    success_code: Literal[200, 201] = Field(201, description="8.2: envelope status of successful POSTs")
    error_shape: Literal["envelope", "hint"] = Field(
        "envelope", description="8.3: errors in the envelope, or with errorField and customErrorNumber"
    )
    error_content_type: str = Field("application/json", description="8.3: content type of errors")
    content_type_required: bool = Field(False, description="1: create without Content-Type application/json is refused")
    auth_code: Literal[401, 403] = Field(401, description="8.4: missing key, wrong key, wrong scheme word")
    duplicate_code: Literal[400, 409] = Field(400, description="8.5: used name or used hash")
    duplicate_reveals_ids: bool = Field(False, description="8.5: the refusal names the existing ids")
    failed_frees_name: bool = Field(False, description="8.6: a failed version frees its name and hash")
    taken_elsewhere: tuple[str, ...] = Field(
        (), description="8.6: names and hashes that another account has used: refused here, and listed nowhere"
    )
    extra_fields: Literal["ignored", "refused"] = Field(
        "ignored", description="8.13: fields of create beside the five known ones (new version, member)"
    )
    name_max_length: int | None = Field(
        None, ge=1, description="7: longest allowed name (weak hint: 50); None: no limit"
    )
    running_words: tuple[str, ...] = Field(
        ("in_progress", "pending", "awaiting_block"),
        min_length=1,
        description="8.7: words of result.status before the end, shown one after the other",
    )
    failure_word: str = Field("mint_failed", description="8.7: word of result.status on failure")
    error_object: dict[str, Any] = Field(
        {"code": "MINT_REFUSED"}, description="8.8: result.error on failure; the plan's message is added"
    )
    transaction_id_before: Literal["rotate", "absent", "null", "empty"] = Field(
        "rotate", description="8.9: transaction_id before completion; rotate: a different one at each poll"
    )
    bare_completed_seconds: float = Field(
        0, ge=0, description="8.10: simulated seconds of completed without a transaction_id"
    )
    categories_method: Literal["GET", "POST", "any"] = Field("GET", description="8.12: method of /categories")
    categories_key: Literal["result", "results"] = Field("result", description="8.12: where /categories puts the array")
    categories_fields: tuple[str, str] = Field(
        ("id", "name"), description="8.12: names of the fields of a category's id and name"
    )
    categories_id_type: Literal["integer", "string"] = Field(
        "integer", description="8.12: type of a category's id; create takes a string, get-version shows an integer"
    )
    extra_create_field: str | None = Field(
        "versionName", description="8.14: the unread field after versionId in the answer of create"
    )
    file_versions_key: Literal["results", "result"] = Field(
        "results", description="8.15: where get-file puts the array"
    )
    recent_order: Literal["newest", "oldest"] = Field("newest", description="8.15: order of recent-files")
    recent_end: Literal["empty", "error", "repeat"] = Field(
        "empty", description="8.15: a page after the last one is empty, a 404, or the last one once more"
    )
    recent_id_type: Literal["uuid", "integer"] = Field("uuid", description="8.15: type of id in recent-files")
    time_format: Literal["iso_z", "iso_offset", "sql", "epoch_ms"] = Field(
        "iso_z", description="8.16: spelling of times, always a string"
    )
    get_on_posts_code: Literal[404, 405] = Field(404, description="8.17: GET on get-version, get-file, certificate")
    certificate_early_code: Literal[400, 404, 409] = Field(400, description="8.18: certificate before completion")
    certificate_delay_seconds: float = Field(
        0, ge=0, description="8.18: simulated seconds from completion until the certificate can be had"
    )
    certificate_dead_code: Literal[200, 403, 404] = Field(
        403, description="4: what a dead link answers; 200 is a page that says so"
    )
    certificate_link_seconds: float = Field(
        60, gt=0, description="4: simulated seconds for which a certificate link lives"
    )
    certificate_result_array: bool = Field(
        False, description="4: result of certificate is an array (table) instead of an object (sample)"
    )
    credits: int | None = Field(None, ge=0, description="8.19: certificates that can still be made")
    credits_code: Literal[400, 402, 403] = Field(402, description="8.19: code when credits have run out")
    results_beside_result: bool = Field(
        False, description="3.2: get-version also carries the results array of the attribute table"
    )
