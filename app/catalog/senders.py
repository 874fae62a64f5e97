"""Services that send email for others, and the domains by which they are recognized.

One line each: name, category, domains (which include all names below them), and the setup page of the
service. The domains occur in SPF includes, envelope senders, DKIM signatures and reverse names. To
add a service, add a line; the longest domain that matches a name wins.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

# mailbox: mailboxes for people; transactional, marketing: automated email for a domain; support: tickets
# and chats; business: other software that sends email for a domain; gateway: filters email of others;
# hosting: shared servers; forwarder: forwards email, including mailing lists.
Category = Literal[
    "mailbox",
    "transactional",
    "marketing",
    "support",
    "business",
    "gateway",
    "hosting",
    "forwarder",
]


@dataclass(frozen=True, slots=True)
class Sender:
    """A well-known service.

    setup  the service's page on SPF and DKIM for its customers
    """

    name: str
    category: Category
    domains: str
    setup: str


S = Sender
# fmt: off
SENDERS = (
    # mailboxes for people
    S("Google Workspace", "mailbox", "google.com googlemail.com gmail.com gappssmtp.com 1e100.net", "https://support.google.com/a/answer/174124"),
    S("Microsoft 365", "mailbox", "protection.outlook.com outlook.com onmicrosoft.com hotmail.com", "https://learn.microsoft.com/defender-office-365/email-authentication-about"),
    S("Zoho Mail", "mailbox", "zoho.com zoho.eu zoho.in zohomail.com zohomail.eu", "https://www.zoho.com/mail/help/adminconsole/dkim-configuration.html"),
    S("Fastmail", "mailbox", "messagingengine.com fastmail.com fmhosted.com", "https://www.fastmail.help/hc/en-us/articles/360060591153"),
    S("Proton Mail", "mailbox", "protonmail.ch proton.ch protonmail.com proton.me", "https://proton.me/support/custom-domain"),
    S("iCloud Mail", "mailbox", "icloud.com me.com mac.com apple.com", "https://support.apple.com/102374"),
    S("Yahoo Mail", "mailbox", "yahoo.com yahoodns.net yahoo.net aol.com", "https://senders.yahooinc.com/best-practices/"),
    S("Yandex 360", "mailbox", "yandex.net yandex.ru yandex.com", "https://yandex.com/support/yandex-360/business/admin/"),
    S("VK WorkMail", "mailbox", "mail.ru", "https://biz.mail.ru/"),
    S("mailbox.org", "mailbox", "mailbox.org", "https://kb.mailbox.org/"),
    S("Posteo", "mailbox", "posteo.de posteo.net", "https://posteo.de/"),
    S("Rackspace Email", "mailbox", "emailsrvr.com", "https://docs.rackspace.com/docs/rackspace-email"),
    S("Titan", "mailbox", "titan.email flockmail.com", "https://support.titan.email/"),
    S("Migadu", "mailbox", "migadu.com", "https://www.migadu.com/guides/"),
    S("Runbox", "mailbox", "runbox.com", "https://help.runbox.com/"),
    S("Alibaba Mail", "mailbox", "mxhichina.com aliyun.com", "https://www.alibabacloud.com/help/en/alibaba-mail"),
    S("Tencent Exmail", "mailbox", "exmail.qq.com qq.com", "https://open.work.weixin.qq.com/"),
    S("NetEase Mail", "mailbox", "netease.com 163.com", "https://qiye.163.com/"),
    # automated email
    S("Amazon SES", "transactional", "amazonses.com", "https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html"),
    S("SendGrid", "transactional", "sendgrid.net sendgrid.info sendgrid.me", "https://www.twilio.com/docs/sendgrid/ui/account-and-settings/how-to-set-up-domain-authentication"),
    S("Mailgun", "transactional", "mailgun.org mailgun.net mailgun.info mailgun.us", "https://documentation.mailgun.com/docs/mailgun/user-manual/domains/domains-verify"),
    S("Mailchimp Transactional", "transactional", "mandrillapp.com mandrill.com", "https://mailchimp.com/developer/transactional/docs/authentication-delivery/"),
    S("SparkPost", "transactional", "sparkpostmail.com sparkpost.com e-sparkpost.com", "https://support.sparkpost.com/docs/getting-started/setting-up-domains"),
    S("Postmark", "transactional", "mtasv.net postmarkapp.com", "https://postmarkapp.com/support/article/1046"),
    S("Mailjet", "transactional", "mailjet.com", "https://documentation.mailjet.com/hc/en-us/articles/360042412734"),
    S("Brevo", "transactional", "sendinblue.com brevo.com", "https://help.brevo.com/hc/en-us/articles/12163873383186"),
    S("SMTP2GO", "transactional", "smtp2go.com smtpcorp.com", "https://support.smtp2go.com/hc/en-gb/articles/115004408567"),
    S("SocketLabs", "transactional", "socketlabs.com email-od.com smtp.com", "https://help.socketlabs.com/"),
    S("Elastic Email", "transactional", "elasticemail.com elasticemail.net", "https://help.elasticemail.com/en/articles/4934400"),
    S("Resend", "transactional", "resend.com", "https://resend.com/docs/dashboard/domains/introduction"),
    S("MailerSend", "transactional", "mailersend.net mailersend.com", "https://www.mailersend.com/help/how-to-verify-and-authenticate-a-sending-domain"),
    S("Mailtrap", "transactional", "mailtrap.io mailtrap.live", "https://docs.mailtrap.io/email-api-smtp/setup/sending-domain"),
    S("Azure Communication Services", "transactional", "azurecomm.net", "https://learn.microsoft.com/azure/communication-services/quickstarts/email/add-custom-verified-domains"),
    S("Oracle Email Delivery", "transactional", "oraclecloud.com oracleemaildelivery.com oracle.com", "https://docs.oracle.com/iaas/Content/Email/home.htm"),
    S("Loops", "transactional", "loops.so", "https://loops.so/docs/sending-domain"),
    S("Pepipost", "transactional", "pepipost.net pepipost.com", "https://netcorecloud.com/"),
    # campaigns
    S("Mailchimp", "marketing", "mcsv.net rsgsv.net mcdlv.net mailchimpapp.net mailchimp.com", "https://mailchimp.com/help/set-up-email-domain-authentication/"),
    S("HubSpot", "marketing", "hubspotemail.net hubspot.com hs-send.com", "https://knowledge.hubspot.com/marketing-email/manage-email-authentication-in-hubspot"),
    S("Salesforce Marketing Cloud", "marketing", "exacttarget.com s10.exacttarget.com mc.exacttarget.com", "https://help.salesforce.com/s/articleView?id=mktg.mc_es_sender_authentication_package.htm"),
    S("Marketo", "marketing", "mktomail.com mktdns.com marketo.org", "https://experienceleague.adobe.com/docs/marketo/using/product-docs/email-marketing/deliverability/set-up-spf-and-dkim-for-your-email-deliverability.html"),
    S("Adobe Campaign", "marketing", "neolane.net campaign.adobe.com", "https://experienceleague.adobe.com/docs/campaign.html"),
    S("Klaviyo", "marketing", "klaviyomail.com klaviyo.com", "https://help.klaviyo.com/hc/en-us/articles/115000357752"),
    S("Constant Contact", "marketing", "constantcontact.com ccsend.com in.constantcontact.com", "https://knowledgebase.constantcontact.com/email-digital-marketing/articles/KnowledgeBase/5932"),
    S("Campaign Monitor", "marketing", "cmail19.com cmail20.com createsend.com cmail1.com cmail2.com", "https://help.campaignmonitor.com/s/article/email-authentication"),
    S("ActiveCampaign", "marketing", "activehosted.com acemsrvg.com acems1.com activecampaign.com", "https://help.activecampaign.com/hc/en-us/articles/206903370"),
    S("MailerLite", "marketing", "mlsend.com mlsend2.com mailerlite.com mlrlt.com", "https://www.mailerlite.com/help/how-to-verify-and-authenticate-your-domain"),
    S("GetResponse", "marketing", "getresponse.com getresponse-mail.com gr-mail.com", "https://www.getresponse.com/help/what-is-dkim-and-how-to-set-it-up.html"),
    S("AWeber", "marketing", "aweber.com", "https://help.aweber.com/hc/en-us/articles/204029246"),
    S("Kit", "marketing", "convertkit.com convertkit-mail.com convertkit-mail2.com kit.com", "https://help.kit.com/en/articles/2502661"),
    S("Drip", "marketing", "getdrip.com dripemail2.com", "https://help.drip.com/hc/en-us"),
    S("Braze", "marketing", "braze.com appboy.com", "https://www.braze.com/docs/user_guide/message_building_by_channel/email/email_setup/"),
    S("Iterable", "marketing", "iterable.com", "https://support.iterable.com/hc/en-us/articles/115000270626"),
    S("Customer.io", "marketing", "customer.io customeriomail.com", "https://docs.customer.io/journeys/authentication/"),
    S("Omnisend", "marketing", "omnisend.com osend.com", "https://support.omnisend.com/en/articles/2124967"),
    S("CleverReach", "marketing", "cleverreach.com crsend.com", "https://support.cleverreach.de/hc/en-us"),
    S("Inxmail", "marketing", "inxserver.com inxmail.com", "https://www.inxmail.com/"),
    S("Emarsys", "marketing", "emarsys.net emsmtp.com emarsys.com", "https://help.emarsys.com/"),
    S("Bloomreach", "marketing", "exponea.com bloomreach.com", "https://documentation.bloomreach.com/engagement/docs"),
    S("Beehiiv", "marketing", "beehiiv.com", "https://support.beehiiv.com/"),
    S("Substack", "marketing", "substack.com", "https://support.substack.com/"),
    S("Pardot", "marketing", "pardot.com et.pardot.com", "https://help.salesforce.com/s/articleView?id=sf.pardot_admin_domain_email_authentication.htm"),
    S("Eloqua", "marketing", "eloqua.com en25.com", "https://docs.oracle.com/en/cloud/saas/marketing/eloqua.html"),
    S("Dotdigital", "marketing", "dotmailer.com dotdigital.com emsg.email", "https://support.dotdigital.com/"),
    # tickets and chats
    S("Zendesk", "support", "zendesk.com", "https://support.zendesk.com/hc/en-us/articles/4408832543770"),
    S("Freshworks", "support", "freshemail.io freshdesk.com freshservice.com freshworks.com", "https://support.freshdesk.com/support/solutions/articles/223779"),
    S("Help Scout", "support", "helpscoutemail.com helpscout.net", "https://docs.helpscout.com/article/1189-set-up-your-email-domain"),
    S("Intercom", "support", "intercom.io intercom-mail.com", "https://www.intercom.com/help/en/articles/182"),
    S("Front", "support", "frontapp.com front.com", "https://help.front.com/en/articles/2104"),
    S("Gorgias", "support", "gorgias.com gorgias.io", "https://docs.gorgias.com/"),
    S("ServiceNow", "support", "service-now.com servicenow.com", "https://www.servicenow.com/docs/"),
    # other software
    S("Salesforce", "business", "salesforce.com force.com", "https://help.salesforce.com/s/articleView?id=sf.emailadmin_create_secure_dkim.htm"),
    S("Atlassian", "business", "atlassian.net atlassian.com", "https://support.atlassian.com/organization-administration/docs/"),
    S("Statuspage", "business", "stspg-customer.com statuspage.io", "https://support.atlassian.com/statuspage/docs/"),
    S("Shopify", "business", "shopify.com shopifyemail.com", "https://help.shopify.com/en/manual/domains/manage-domains/third-party-hosting-services/email-authentication"),
    S("Stripe", "business", "stripe.com", "https://docs.stripe.com/get-started/account/email-domain"),
    S("DocuSign", "business", "docusign.net docusign.com", "https://support.docusign.com/"),
    S("Xero", "business", "xero.com", "https://central.xero.com/"),
    S("QuickBooks", "business", "intuit.com quickbooks.com", "https://quickbooks.intuit.com/learn-support/"),
    S("Workday", "business", "myworkday.com workday.com", "https://doc.workday.com/"),
    S("SAP", "business", "sap.com successfactors.com ondemand.com", "https://help.sap.com/docs/"),
    S("Zoho CRM", "business", "zcsend.net zohocrm.com", "https://help.zoho.com/portal/en/kb/crm"),
    S("Squarespace", "business", "squarespace.com squarespace-mail.com", "https://support.squarespace.com/hc/en-us"),
    S("Wix", "business", "wix.com ascendbywix.com", "https://support.wix.com/"),
    S("GitHub", "business", "github.com", "https://docs.github.com/"),
    S("GitLab", "business", "gitlab.com", "https://docs.gitlab.com/"),
    S("Slack", "business", "slack.com", "https://slack.com/help"),
    S("Eventbrite", "business", "eventbrite.com", "https://www.eventbrite.com/help/"),
    S("SurveyMonkey", "business", "surveymonkey.com surveymonkeyuser.com", "https://help.surveymonkey.com/"),
    S("Typeform", "business", "typeform.com", "https://help.typeform.com/"),
    S("Qualtrics", "business", "qualtrics.com", "https://www.qualtrics.com/support/"),
    S("KnowBe4", "business", "knowbe4.com", "https://support.knowbe4.com/"),
    S("BambooHR", "business", "bamboohr.com", "https://help.bamboohr.com/"),
    S("Greenhouse", "business", "greenhouse.io greenhouse-mail.io", "https://support.greenhouse.io/"),
    # filtering gateways
    S("Proofpoint", "gateway", "pphosted.com ppe-hosted.com proofpoint.com", "https://help.proofpoint.com/"),
    S("Mimecast", "gateway", "mimecast.com mimecast-offshore.com", "https://mimecastsupport.zendesk.com/"),
    S("Barracuda", "gateway", "barracudanetworks.com cudamail.com", "https://campus.barracuda.com/"),
    S("Cisco Secure Email", "gateway", "iphmx.com", "https://docs.ces.cisco.com/"),
    S("Broadcom Email Security", "gateway", "messagelabs.com symanteccloud.com", "https://techdocs.broadcom.com/"),
    S("Trend Micro Email Security", "gateway", "trendmicro.com trendmicro.eu", "https://docs.trendmicro.com/"),
    S("Sophos Email", "gateway", "sophos.com hydra.sophos.com", "https://docs.sophos.com/"),
    S("SpamExperts", "gateway", "antispamcloud.com", "https://documentation.n-able.com/"),
    S("Hornetsecurity", "gateway", "hornetsecurity.com antispameurope.com", "https://support.hornetsecurity.com/"),
    S("Retarus", "gateway", "retarus.com retarus.de", "https://www.retarus.com/"),
    S("Exclaimer", "gateway", "exclaimer.net", "https://support.exclaimer.com/"),
    S("Code Two", "gateway", "codetwo.com codetwo.online", "https://www.codetwo.com/kb/"),
    # shared hosting
    S("OVHcloud", "hosting", "ovh.com ovh.net", "https://help.ovhcloud.com/"),
    S("IONOS", "hosting", "ionos.com kundenserver.de perfora.net ui-dns.de", "https://www.ionos.com/help/"),
    S("STRATO", "hosting", "strato.de rzone.de", "https://www.strato.de/faq/"),
    S("Hostinger", "hosting", "hostinger.com", "https://support.hostinger.com/"),
    S("GoDaddy", "hosting", "secureserver.net", "https://www.godaddy.com/help"),
    S("Gandi", "hosting", "gandi.net", "https://docs.gandi.net/"),
    S("Hetzner", "hosting", "your-server.de hetzner.com", "https://docs.hetzner.com/"),
    S("All-Inkl", "hosting", "kasserver.com", "https://all-inkl.com/wichtig/"),
    S("Infomaniak", "hosting", "infomaniak.ch infomaniak.com", "https://www.infomaniak.com/en/support"),
    S("Bluehost", "hosting", "bluehost.com unifiedlayer.com", "https://www.bluehost.com/help"),
    S("SiteGround", "hosting", "siteground.com mailspamprotection.com", "https://www.siteground.com/kb/"),
    S("DreamHost", "hosting", "dreamhost.com", "https://help.dreamhost.com/"),
    S("Namecheap", "hosting", "web-hosting.com privateemail.com registrar-servers.com", "https://www.namecheap.com/support/knowledgebase/"),
    S("home.pl", "hosting", "home.pl", "https://pomoc.home.pl/"),
    S("Aruba", "hosting", "aruba.it arubabusiness.it", "https://guide.aruba.it/"),
    # forwarding services and mailing lists
    S("Cloudflare Email Routing", "forwarder", "cloudflare-email.net cloudflare-email.com", "https://developers.cloudflare.com/email-routing/"),
    S("ImprovMX", "forwarder", "improvmx.com", "https://improvmx.com/guides/"),
    S("Forward Email", "forwarder", "forwardemail.net", "https://forwardemail.net/faq"),
    S("SimpleLogin", "forwarder", "simplelogin.co simplelogin.io", "https://simplelogin.io/docs/"),
    S("addy.io", "forwarder", "anonaddy.com anonaddy.me addy.io", "https://addy.io/help/"),
    S("DuckDuckGo Email Protection", "forwarder", "duck.com", "https://duckduckgo.com/duckduckgo-help-pages/"),
    S("Pobox", "forwarder", "pobox.com listbox.com", "https://helpspot.pobox.com/"),
    S("Google Groups", "forwarder", "googlegroups.com", "https://support.google.com/groups/"),
    S("Groups.io", "forwarder", "groups.io", "https://groups.io/helpcenter"),
    S("GNU mailing lists", "forwarder", "gnu.org nongnu.org", "https://lists.gnu.org/"),
    S("Mailman at python.org", "forwarder", "mail.python.org", "https://mail.python.org/"),
    S("IETF lists", "forwarder", "ietf.org ietfa.amsl.com", "https://www.ietf.org/how/lists/"),
)
# fmt: on


@lru_cache(maxsize=16_384)
def of(name: str) -> Sender | None:
    """The well-known service that the name belongs to; None if there is none.

    name  A-labels in lower case
    """
    senders = _by_domain()
    while "." in name:
        if sender := senders.get(name):
            return sender
        name = name.partition(".")[2]
    return None


@cache
def _by_domain() -> dict[str, Sender]:
    return {domain: sender for sender in SENDERS for domain in sender.domains.split()}
