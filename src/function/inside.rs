//! GatewaySide: which names are never of the public internet, whatever they resolve to?
//!
//! A deny list, against server-side request forgery. A list can name only what is known: whoever fetches must still
//! look at the address that a name gives.

/// Top-level domains that are not of the public internet, with what reserves or uses them, where that is known.
const DOMAINS_AT_THE_TOP: &[&str] = &[
    // IANA, Special-Use Domain Names: RFC 6761 (`localhost`, `invalid`, `test`, `example`), RFC 6762 (`local`), RFC 7686
    // (`onion`), RFC 9476 (`alt`). RFC 6761 also has `example.com`, `example.net` and `example.org`; they are delegated, so
    // they are not here. `arpa` (RFC 3172) is for the network itself; it has `home.arpa` (RFC 8375), `service.arpa`
    // (RFC 9665), `resolver.arpa` (RFC 9462), `ipv4only.arpa` (RFC 8880), and the reverse zones of private networks
    // (RFC 6761, RFC 6303).
    "localhost",
    "invalid",
    "test",
    "example",
    "local",
    "onion",
    "alt",
    "arpa",
    // ICANN, Board resolution 2024.07.29.06, as SSAC advised (SAC113): never delegated, for private use.
    "internal",
    // ICANN, Board resolution 2018.02.04.12: applications for them do not proceed, because of name collisions.
    "corp",
    "home",
    "mail",
    // RFC 6762, appendix G: in wide use inside. (It has `internal`, `home` and `corp`, too.)
    "intranet",
    "private",
    "lan",
    // In use inside, and not delegated. OpenStack's defaults are `openstacklocal` and `novalocal`. Routers and other boxes
    // have names such as `speedport.ip`, `homerouter.cpe`, `fritz.nas`, `arcor.easybox`, `web.setup`, `mobile.hotspot`.
    // Root name servers are often asked for `localdomain`, `domain`, `router` and `belkin`. The others are here by common
    // use, without a source.
    "localdomain",
    "openstacklocal",
    "novalocal",
    "domain",
    "workgroup",
    "intra",
    "dhcp",
    "router",
    "gateway",
    "modem",
    "wlan",
    "belkin",
    "dlink",
    "localzone",
    "easybox",
    "nas",
    "ip",
    "cpe",
    "setup",
    "hotspot",
    // Kubernetes, Consul, and Windows with a shared connection.
    "svc",
    "cluster",
    "pod",
    "consul",
    "default",
    "mshome",
];

/// Domains whose names lead inside although they end in a public one.
const DOMAINS: &[&str] = &[
    // Metadata services: Google, Tencent, Packet (later Equinix Metal), IBM, Exoscale. Others are asked by an address, or
    // have a name below `internal`.
    "metadata.goog",
    "metadata.tencentyun.com",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "api.metadata.cloud.ibm.com",
    "metadata.exoscale.com",
    // The pages of routers, repeaters and boxes, which these answer themselves, and the domains that they give to what is
    // behind them: AVM,
    "fritz.box",
    "myfritz.box",
    // boxes of providers (German, French, of Verizon, of AT&T), and Windows with a shared connection,
    "o2.box",
    "vodafone.box",
    "alice.box",
    "easy.box",
    "kabel.box",
    "connect.box",
    "congstar.box",
    "mafreebox.freebox.fr",
    "mabbox.bytel.fr",
    "myfiosgateway.com",
    "attlocal.net",
    "gateway.2wire.net",
    "mshome.net",
    // TP-Link, Mercusys, Mercury, Fast,
    "tplinkwifi.net",
    "tplinklogin.net",
    "tplinkmodem.net",
    "tplinkrepeater.net",
    "tplinkextender.net",
    "tplinkap.net",
    "tplinkeap.net",
    "tplinkdeco.net",
    "tplinkplclogin.net",
    "tplogin.cn",
    "mwlogin.net",
    "melogin.cn",
    "falogin.cn",
    // Netgear,
    "routerlogin.net",
    "routerlogin.com",
    "orbilogin.net",
    "orbilogin.com",
    "mywifiext.net",
    "mywifiext.com",
    // Asus, Linksys, Xiaomi, Tenda, Netis, Wavlink, Huawei and NEC.
    "router.asus.com",
    "repeater.asus.com",
    "asusrouter.com",
    "asusnetwork.net",
    "linksyssmartwifi.com",
    "miwifi.com",
    "tendawifi.com",
    "netis.cc",
    "wifi.wavlink.com",
    "huaweimobilewifi.com",
    "hi.link",
    "aterm.me",
    // DNS services whose names give this machine's address, or gave it: some have ended.
    "localtest.me",
    "lvh.me",
    "vcap.me",
    "fuf.me",
    "lacolhost.com",
    "localho.st",
    "localhost.direct",
    "lcl.host",
    "local.gd",
    "smackaho.st",
    "127-0-0-1.org.uk",
    // DNS services whose names give the address that is written in them, or gave it.
    "traefik.me",
    "nip.io",
    "sslip.io",
    "xip.io",
    "xip.name",
    "ip6.name",
    "backname.io",
    "plex.direct",
    "local-ip.co",
    "local-ip.sh",
    "local-ip.medicmobile.org",
    // A DNS service whose names give the address that their takers choose; and those that change it while one looks.
    "ipq.co",
    "1u.ms",
    "rbndr.us",
    "rebind.it",
];

/// Whether the name is, or lies below, one that is never of the public internet. A name without a dot is a name of the
/// network at hand.
pub(super) fn is_inside(name: &str) -> bool {
    let top = name.rsplit('.').next().unwrap_or_default();
    let below = |domain: &&str| {
        let labels = name.strip_suffix(*domain);
        labels.is_some_and(|labels| labels.is_empty() || labels.ends_with('.'))
    };
    !name.contains('.') || DOMAINS_AT_THE_TOP.contains(&top) || DOMAINS.iter().any(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written out again, so that a name that is lost is missed.
    #[test]
    fn each_of_these_is_inside() {
        for top in [
            "localhost",
            "invalid",
            "test",
            "example",
            "local",
            "onion",
            "alt",
            "arpa",
            "internal",
            "corp",
            "home",
            "mail",
            "intranet",
            "private",
            "lan",
            "localdomain",
            "openstacklocal",
            "novalocal",
            "domain",
            "workgroup",
            "intra",
            "dhcp",
            "router",
            "gateway",
            "modem",
            "wlan",
            "belkin",
            "dlink",
            "localzone",
            "easybox",
            "nas",
            "ip",
            "cpe",
            "setup",
            "hotspot",
            "svc",
            "cluster",
            "pod",
            "consul",
            "default",
            "mshome",
        ] {
            assert!(is_inside(&format!("a.{top}")), "{top}");
        }
        for name in [
            "metadata.goog",
            "metadata.tencentyun.com",
            "metadata.packet.net",
            "metadata.platformequinix.com",
            "api.metadata.cloud.ibm.com",
            "metadata.exoscale.com",
            "fritz.box",
            "myfritz.box",
            "o2.box",
            "vodafone.box",
            "alice.box",
            "easy.box",
            "kabel.box",
            "connect.box",
            "congstar.box",
            "mafreebox.freebox.fr",
            "mabbox.bytel.fr",
            "myfiosgateway.com",
            "attlocal.net",
            "gateway.2wire.net",
            "mshome.net",
            "tplinkwifi.net",
            "tplinklogin.net",
            "tplinkmodem.net",
            "tplinkrepeater.net",
            "tplinkextender.net",
            "tplinkap.net",
            "tplinkeap.net",
            "tplinkdeco.net",
            "tplinkplclogin.net",
            "tplogin.cn",
            "mwlogin.net",
            "melogin.cn",
            "falogin.cn",
            "routerlogin.net",
            "routerlogin.com",
            "orbilogin.net",
            "orbilogin.com",
            "mywifiext.net",
            "mywifiext.com",
            "router.asus.com",
            "repeater.asus.com",
            "asusrouter.com",
            "asusnetwork.net",
            "linksyssmartwifi.com",
            "miwifi.com",
            "tendawifi.com",
            "netis.cc",
            "wifi.wavlink.com",
            "huaweimobilewifi.com",
            "hi.link",
            "aterm.me",
            "localtest.me",
            "lvh.me",
            "vcap.me",
            "fuf.me",
            "lacolhost.com",
            "localho.st",
            "localhost.direct",
            "lcl.host",
            "local.gd",
            "smackaho.st",
            "127-0-0-1.org.uk",
            "traefik.me",
            "nip.io",
            "sslip.io",
            "xip.io",
            "xip.name",
            "ip6.name",
            "backname.io",
            "plex.direct",
            "local-ip.co",
            "local-ip.sh",
            "local-ip.medicmobile.org",
            "ipq.co",
            "1u.ms",
            "rbndr.us",
            "rebind.it",
        ] {
            assert!(is_inside(name), "{name}");
            assert!(is_inside(&format!("a.b.{name}")), "below {name}");
        }
        for name in ["localhost", "intranet", "metadata", "instance-data", "rancher-metadata"] {
            assert!(is_inside(name), "{name}");
        }
    }

    #[test]
    fn a_name_that_only_looks_like_one_is_not() {
        for name in [
            "example.com",
            "local.example.com",
            "internal.com",
            "notfritz.box",
            "fritz.box.example.com",
            "xnip.io",
            "goog.metadata.com",
        ] {
            assert!(!is_inside(name), "{name}");
        }
    }
}
