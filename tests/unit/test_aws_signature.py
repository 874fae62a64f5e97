"""Signatures of requests to S3: the examples of Amazon's documentation.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from app.mailboxes.s3 import signature as aws_signature
from app.mailboxes.s3.signature import SigningKey, UnsignedRequest

KEY = SigningKey(
    access_key_id="AKIAIOSFODNN7EXAMPLE",
    secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    region="us-east-1",
)
AT = datetime(2013, 5, 24, tzinfo=UTC)
HOST = {"Host": "examplebucket.s3.amazonaws.com"}


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (
            UnsignedRequest(
                method="GET",
                path="/test.txt",
                query={},
                headers={**HOST, "Range": "bytes=0-9"},
            ),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            UnsignedRequest(
                method="PUT",
                path=aws_signature.encoded_path("test$file.text"),
                query={},
                headers={
                    **HOST,
                    "Date": "Fri, 24 May 2013 00:00:00 GMT",
                    "x-amz-storage-class": "REDUCED_REDUNDANCY",
                },
                body=b"Welcome to Amazon S3.",
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            UnsignedRequest(method="GET", path="/", query={"lifecycle": ""}, headers=HOST),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            UnsignedRequest(
                method="GET", path="/", query={"prefix": "J", "max-keys": "2"}, headers=HOST
            ),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_documented_examples_have_their_signatures(
    request_: UnsignedRequest, signature: str
) -> None:
    authorization = aws_signature.signed_headers(request_, KEY, AT)["authorization"]
    assert authorization.startswith(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
    )
    assert authorization.endswith(f",Signature={signature}")


@pytest.mark.parametrize(
    ("segments", "path"),
    [
        (("bucket", "a b+c/ä~é"), "/bucket/a%20b%2Bc/%C3%A4~%C3%A9"),
        (("x//y/../z?",), "/x//y/../z%3F"),
        ((), "/"),
    ],
)
def test_paths_are_encoded_once(segments: tuple[str, ...], path: str) -> None:
    assert aws_signature.encoded_path(*segments) == path


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"prefix": "a/b c", "list-type": "2"}, "list-type=2&prefix=a%2Fb%20c"),
        ({"b": "", "a": "=&"}, "a=%3D%26&b="),
    ],
)
def test_query_is_sorted_and_encoded(query: Mapping[str, str], text: str) -> None:
    assert aws_signature.encoded_query(query) == text
