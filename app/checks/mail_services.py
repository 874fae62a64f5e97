"""Which mail service a name in DNS belongs to: what an include, an MX or a selector tells."""

from collections.abc import Mapping

# By the registrable domain, or a name below it where one company runs several services.
_BY_DOMAIN: Mapping[str, str] = {
    "_spf.google.com": "Google Workspace",
    "google.com": "Google Workspace",
    "googlemail.com": "Google Workspace",
    "protection.outlook.com": "Microsoft 365",
    "outlook.com": "Microsoft 365",
    "amazonses.com": "Amazon SES",
    "sendgrid.net": "SendGrid",
    "mailgun.org": "Mailgun",
    "mandrillapp.com": "Mailchimp Transactional",
    "mcsv.net": "Mailchimp",
    "rsgsv.net": "Mailchimp",
    "sparkpostmail.com": "SparkPost",
    "mtasv.net": "Postmark",
    "zendesk.com": "Zendesk",
    "hubspotemail.net": "HubSpot",
    "salesforce.com": "Salesforce",
    "exacttarget.com": "Salesforce Marketing Cloud",
    "pphosted.com": "Proofpoint",
    "mimecast.com": "Mimecast",
    "zoho.com": "Zoho Mail",
    "zoho.eu": "Zoho Mail",
    "zohomail.com": "Zoho Mail",
    "messagingengine.com": "Fastmail",
    "protonmail.ch": "Proton Mail",
    "mailbox.org": "mailbox.org",
    "icloud.com": "iCloud Mail",
    "yandex.net": "Yandex 360",
    "ovh.com": "OVHcloud",
    "ionos.com": "IONOS",
    "kundenserver.de": "IONOS",
    "hostinger.com": "Hostinger",
    "secureserver.net": "GoDaddy",
    "gandi.net": "Gandi",
    "sendinblue.com": "Brevo",
    "brevo.com": "Brevo",
    "mailjet.com": "Mailjet",
    "freshemail.io": "Freshworks",
    "helpscoutemail.com": "Help Scout",
    "atlassian.net": "Atlassian",
    "intercom.io": "Intercom",
    "constantcontact.com": "Constant Contact",
    "klaviyomail.com": "Klaviyo",
    "stspg-customer.com": "Statuspage",
    "mktomail.com": "Marketo",
    "barracudanetworks.com": "Barracuda",
    "messagelabs.com": "Broadcom Email Security",
    "iphmx.com": "Cisco Secure Email",
    "antispamcloud.com": "SpamExperts",
    "mxhichina.com": "Alibaba Mail",
    "exmail.qq.com": "Tencent Exmail",
}


def of(name: str) -> str | None:
    """The service that runs the name, or None if it is not one of the well-known.

    name  A-labels in lower case
    """
    labels = name.split(".")
    for start in range(len(labels) - 1):
        if service := _BY_DOMAIN.get(".".join(labels[start:])):
            return service
    return None
