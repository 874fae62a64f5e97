"""Samples of code that verify the signature of a webhook; a test runs them."""

_PYTHON = """\
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

def event_of(body: bytes, headers: dict[str, str], secret: str) -> dict:
    \"\"\"Return the event; raises WebhookVerificationError for a wrong signature.\"\"\"
    return Webhook(secret).verify(body, headers)
"""
_JAVASCRIPT = """\
import { createHmac, timingSafeEqual } from "node:crypto";

// Returns the event, and throws for a wrong signature or an old request.
export function eventOf(body, headers, secret) {
  const id = headers["webhook-id"], timestamp = headers["webhook-timestamp"];
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) throw new Error("too old");
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest();
  const isValid = headers["webhook-signature"].split(" ").some((signature) => {
    const given = Buffer.from(signature.replace(/^v1,/, ""), "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
  if (!isValid) throw new Error("wrong signature");
  return JSON.parse(body);
}
"""
SAMPLES = {"Python": _PYTHON, "JavaScript": _JAVASCRIPT}
