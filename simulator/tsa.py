"""RFC 3161: time-stamp queries and replies, made and read (contract commonsdb 2.5)."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from pyasn1.codec.der.decoder import decode
from pyasn1.codec.der.encoder import encode
from pyasn1.error import PyAsn1Error
from pyasn1.type import univ, useful
from pyasn1_modules import rfc3161, rfc5652

QUERY_TYPE = "application/timestamp-query"
REPLY_TYPE = "application/timestamp-reply"

_OIDS = {
    "sha1": "1.3.14.3.2.26",
    "sha224": "2.16.840.1.101.3.4.2.4",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
_HASHES = {oid: name for name, oid in _OIDS.items()}
_POLICY = "1.3.6.1.4.1.99999.1"


class StampError(ValueError):
    """A time-stamp query or reply cannot be read, or was not granted."""


@dataclass(frozen=True, slots=True)
class Imprint:
    """What was stamped: the name of the hash algorithm and the digest."""

    algorithm: str
    digest: bytes

    def fits(self, data: bytes) -> bool:
        """Tell whether this is the digest of `data`."""
        return hashlib.new(self.algorithm, data, usedforsecurity=False).digest() == self.digest


def make_query(data: bytes, algorithm: str = "sha512") -> bytes:
    """Make the DER TimeStampReq for `data`: no nonce, certificate requested."""
    query = rfc3161.TimeStampReq()
    query["version"] = 1
    query["messageImprint"] = _imprint(algorithm, hashlib.new(algorithm, data).digest())
    query["certReq"] = True
    return bytes(encode(query))


def make_reply(query: bytes, moment: float, serial: int) -> bytes:
    """Grant the stamp that DER `query` asks for at `moment` (epoch seconds), in an unsigned CMS.

    Raises `StampError` when the query cannot be read.
    """
    request = _decode(query, rfc3161.TimeStampReq())
    imprint = _read_imprint(request["messageImprint"])
    info = rfc3161.TSTInfo()
    info["version"] = 1
    info["policy"] = univ.ObjectIdentifier(_POLICY)
    info["messageImprint"] = _imprint(imprint.algorithm, imprint.digest)
    info["serialNumber"] = serial
    info["genTime"] = useful.GeneralizedTime(datetime.fromtimestamp(moment, UTC).strftime("%Y%m%d%H%M%SZ"))
    if request["nonce"].hasValue():
        info["nonce"] = int(request["nonce"])
    signed = rfc5652.SignedData()
    signed["version"] = 3
    signed["digestAlgorithms"].append(_algorithm(imprint.algorithm))
    signed["encapContentInfo"]["eContentType"] = rfc3161.id_ct_TSTInfo
    signed["encapContentInfo"]["eContent"] = encode(info)
    # Nobody checks the signature (contract commonsdb 2.5), so there is no signer.
    signed["signerInfos"] = rfc5652.SignerInfos().clear()
    reply = rfc3161.TimeStampResp()
    reply["status"]["status"] = 0
    reply["timeStampToken"]["contentType"] = rfc5652.id_signedData
    reply["timeStampToken"]["content"] = univ.Any(encode(signed))
    return bytes(encode(reply))


def make_rejection() -> bytes:
    """Make the reply to a query that cannot be read."""
    reply = rfc3161.TimeStampResp()
    reply["status"]["status"] = 2
    return bytes(encode(reply))


def read_query(query: bytes) -> Imprint:
    """Read what a DER TimeStampReq asks to be stamped; raises `StampError`."""
    return _read_imprint(_decode(query, rfc3161.TimeStampReq())["messageImprint"])


def read_reply(reply: bytes) -> Imprint:
    """Read what a DER TimeStampResp stamps; raises `StampError`, also when it was not granted."""
    response = _decode(reply, rfc3161.TimeStampResp())
    status = int(response["status"]["status"])
    if status not in (0, 1):
        message = f"TSR status {status} is not granted"
        raise StampError(message)
    if not response["timeStampToken"].hasValue():
        raise StampError("TSR has no token")
    signed = _decode(bytes(response["timeStampToken"]["content"]), rfc5652.SignedData())
    info = _decode(bytes(signed["encapContentInfo"]["eContent"]), rfc3161.TSTInfo())
    return _read_imprint(info["messageImprint"])


def stamp_errors(stamp: dict[str, str], data: bytes) -> list[str]:
    """List what is wrong with a `{tsq, tsr}` pair for `data`; an empty list when both fit."""
    problems = []
    for name, read in (("tsq", read_query), ("tsr", read_reply)):
        try:
            imprint = read(base64.b64decode(stamp[name], validate=True))
        except (StampError, binascii.Error) as error:
            problems.append(f"{name}: {error}")
            continue
        if not imprint.fits(data):
            problems.append(f"{name}: hash does not match the signature")
    return problems


def _algorithm(name: str) -> rfc5652.DigestAlgorithmIdentifier:
    algorithm = rfc5652.DigestAlgorithmIdentifier()
    algorithm["algorithm"] = univ.ObjectIdentifier(_OIDS[name])
    return algorithm


def _imprint(algorithm: str, digest: bytes) -> rfc3161.MessageImprint:
    imprint = rfc3161.MessageImprint()
    imprint["hashAlgorithm"]["algorithm"] = univ.ObjectIdentifier(_OIDS[algorithm])
    imprint["hashedMessage"] = digest
    return imprint


def _read_imprint(imprint: rfc3161.MessageImprint) -> Imprint:
    oid = str(imprint["hashAlgorithm"]["algorithm"])
    if oid not in _HASHES:
        message = f"hash algorithm {oid} is not known"
        raise StampError(message)
    return Imprint(_HASHES[oid], bytes(imprint["hashedMessage"]))


def _decode(data: bytes, spec: univ.Sequence) -> univ.Sequence:
    try:
        value, rest = decode(data, asn1Spec=spec)
    except (PyAsn1Error, ValueError, IndexError) as error:
        raise StampError("not readable as RFC 3161") from error
    if rest:
        raise StampError("bytes after the end")
    return value
