"""The open points of the CommonsDB contract (its section 7)."""

from typing import Literal

from pydantic import Field

from simulator.switches.base import Switches


class CommonsDBSwitches(Switches):
    """Switches of the simulated CommonsDB API; numbers are those of contract commonsdb, section 7."""

    declare_code: Literal[200, 201, 202] = Field(202, description="7.1: success code of declare")
    auth_error_shape: Literal["problem", "text"] = Field(
        "problem", description="7.2: 401 as problem details of the gateway or as the plain text behind it"
    )
    declarer_missing_code: Literal[401, 403] = Field(
        401, description="7.2: code for a key that the gateway does not know"
    )
    outage_shape: Literal["problem", "text", "empty"] = Field(
        "problem", description="7.2: body of 429 and 5xx: problem details, plain text, or nothing"
    )
    stale_after_seconds: float | None = Field(
        3600, gt=0, description="7.4: simulated seconds after which a pending record turns failed; None: never"
    )
    failed_then_success_seconds: float | None = Field(
        None, ge=0, description="7.5: simulated seconds after which a failed record turns success; None: never"
    )
    repeat_resets: bool = Field(True, description="7.6: an identical declaration again sets the record back to pending")
    not_found_seconds: float = Field(
        0, ge=0, description="7.7: simulated seconds after acceptance in which status answers 404"
    )
    tracking_delayed: bool = Field(False, description="2.9: the message of declare says that tracking may be delayed")
    text_errors_as_json: bool = Field(
        False, description="7.8: the gateway turns the plain-text errors of 2.10 into problem details"
    )
    metadata_shape: Literal["declaration", "public", "full"] = Field(
        "declaration", description="7.9: answer of /v1/metadata (section 4)"
    )
    metadata_pub_shape: Literal["declaration", "public", "full"] = Field(
        "public", description="7.9: answer of /v1/metadata-pub (section 4)"
    )
    findable_after_seconds: float = Field(
        0, ge=0, description="3.3: simulated seconds from success until search and metadata find it"
    )
    unkeyed_jwt: Literal["refused", "unchecked"] = Field(
        "refused", description="7.10: a JWT without jwk (the x5c variant) is refused, or its signature not checked"
    )
    check_credential_dates: bool = Field(
        False, description="7.10: credentials that are not valid yet or any more are refused with 422"
    )
    declarer_shown: bool = Field(
        True, description="7.13: the refusal of a strange declarerId names the DID behind the key"
    )
    accept_liccium_urls: bool = Field(False, description="7.11: /liccium/ schema and context are accepted")
    compare_registry_claims: bool = Field(
        False, description="7.12: the claims of the registry signature are compared with commonsDbRegistry"
    )
    foreign_word: str | None = Field(
        None, description="3.3: while pending, show this word (the test harness knows processing, completed)"
    )
    version: str = Field("1.0.0", description="2.9: the version that answers carry")
    env: str = Field("sim", description="2.9: the environment that declare names")
    failure_message: str = Field("storage write refused", description="7.16: the message of a failed record")
    content_type: str = Field("application/json", description="1: content type of JSON answers; the functions set none")
    date_times: bool = Field(True, description="3.2: the optional ...DateTime fields are present")
