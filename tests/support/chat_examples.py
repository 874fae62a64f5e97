"""An address of every chat and paging service, in every form; the credentials are made up."""

_HEX = "0123456789abcdef0123456789abcdef"
_LOGIC = "prod-1.westeurope.logic.azure.com"
_PLATFORM = "default1.4a.environment.api.powerplatform.com"
_TEAMS = (
    "/triggers/manual/paths/invoke?api-version={}&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=s_G-1"
)

EXAMPLES: dict[str, tuple[str, ...]] = {
    "Discord": (
        "discord://123456789012345678/a_B-c",
        "https://discord.com/api/webhooks/123456789012345678/a_B-c",
    ),
    "Google Chat": (
        "gchat://AAAA1/key-1/token_1",
        "https://chat.googleapis.com/v1/spaces/AAAA1/messages?key=key-1&token=token_1%3D",
    ),
    "LINE": (f"line://abc+def/ghiJKLmnopqrstuvwx==/U{_HEX}",),
    "Opsgenie": ("opsgenie://01234567-89ab-cdef-0123-456789abcdef",),
    "Opsgenie (EU)": ("opsgenie-eu://01234567-89ab-cdef-0123-456789abcdef",),
    "PagerDuty": (f"pagerduty://{_HEX}", f"pagerduty://{_HEX}@u+key_1"),
    "PagerDuty (EU)": (f"pagerduty-eu://{_HEX}",),
    "PagerTree": ("pagertree://int_a1", "https://api.pagertree.com/integration/int_a1"),
    "Pushover": (f"pover://{'u' * 30}@{'t' * 30}",),
    "SIGNL4": ("signl4://secret1", "https://connect.signl4.com/webhook/secret1"),
    "Slack": (
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    ),
    "Splunk On-Call": (
        "splunk://route@api-key",
        "victorops://route@api-key",
        "https://alert.victorops.com/integrations/generic/20131114/alert/api-key/route",
    ),
    "Telegram": (
        f"tgram://123456789:{'a' * 35}/-1001234",
        f"tgram://bot123456789:{'a' * 35}/@channel:7",
    ),
    "Twilio": (f"twilio://AC{_HEX}:{_HEX}@+15005550006/+15005550007",),
    "Microsoft Teams": (
        f"workflows://{_LOGIC}/643e69f83c8944/s_G-1",
        f"https://{_LOGIC}:443/workflows/643e69f83c8944{_TEAMS.format('2016-06-01')}",
        f"https://{_PLATFORM}:443/powerautomate/automations/direct/workflows/643e69f83c8944"
        + _TEAMS.format("1"),
    ),
    "Webex": (
        f"wxteams://{'w' * 80}",
        f"https://webexapis.com/v1/webhooks/incoming/{'w' * 80}",
    ),
}
ADDRESSES = [(name, url) for name, urls in EXAMPLES.items() for url in urls]
