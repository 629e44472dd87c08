use super::*;
use proptest::prelude::*;

fn help<T: std::fmt::Debug>(result: Result<T, Complaint>) -> String {
    result.unwrap_err().help.unwrap()
}

#[test]
fn a_vip_address_is_a_host_address_unless_it_says_otherwise() {
    let read = |text| vip_address(text).unwrap().to_string();
    assert_eq!(read("198.51.100.10"), "198.51.100.10/32");
    assert_eq!(read("198.51.100.10/24"), "198.51.100.10/24");
    assert_eq!(read("198.51.100.0/31"), "198.51.100.0/31");
    assert_eq!(read("2001:DB8:0::10"), "2001:db8::10/128");
    assert_eq!(read("2001:db8::10/64"), "2001:db8::10/64");
    assert_eq!(read("127.0.0.1"), "127.0.0.1/32");
}

#[test]
fn what_can_be_no_hosts_address_is_refused() {
    for text in [
        "",
        "web",
        "198.51.100",
        "198.51.100.256",
        "198.51.100.010",
        "0.0.0.0",
        "224.0.0.18",
        "255.255.255.255",
        "::",
        "ff02::1",
        "::ffff:198.51.100.10",
        "fe80::1",
        "198.51.100.10/33",
        "198.51.100.10/0",
        "198.51.100.10/",
        "198.51.100.10/+24",
        "198.51.100.10/24/8",
        "198.51.100.0/24",
        "198.51.100.255/24",
        "2001:db8::1/129",
        "198.51.100.10:80",
        "fe80::1%eth0",
    ] {
        assert!(vip_address(text).is_err(), "{text:?}");
    }
    assert_eq!(help(vip_address("198.51.100.10:80")), "leave the port out: \"198.51.100.10\"");
    assert_eq!(help(ip("198.51.100.1/24")), "leave the prefix length out: \"198.51.100.1\"");
    assert_eq!(help(ip("::ffff:192.0.2.1")), "write it as \"192.0.2.1\"");
}

#[test]
fn an_endpoint_has_an_address_and_a_port() {
    assert_eq!(endpoint("192.0.2.102:80").unwrap().to_string(), "192.0.2.102:80");
    assert_eq!(endpoint("[2001:DB8::0:2]:80").unwrap().to_string(), "[2001:db8::2]:80");
    assert_eq!(endpoint("127.0.0.1:8080").unwrap().to_string(), "127.0.0.1:8080");
    for text in ["", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "0.0.0.0:80", "[fe80::1%3]:80", "a:b:c", ":80"] {
        assert!(endpoint(text).is_err(), "{text:?}");
    }
    assert_eq!(help(endpoint("192.0.2.1")), "write it as \"192.0.2.1:80\"");
    assert_eq!(help(endpoint("2001:db8::1")), "write it as \"[2001:db8::1]:80\"");
    assert_eq!(help(endpoint("www.example.com:80")), "host names are not looked up: write the address");
    assert_eq!(endpoint("192.0.2.1:65536").unwrap_err().message, "port \"65536\" is not between 1 and 65535");
}

#[test]
fn a_backend_may_go_by_a_name() {
    let named = |text: &str| match named_endpoint(text) {
        Ok(Endpoint::Named(host, port)) => format!("{host} {port}"),
        Ok(Endpoint::At(address)) => address.to_string(),
        Err(complaint) => complaint.message,
    };
    assert_eq!(named("Web.Example:80"), "web.example 80");
    assert_eq!(named("localhost:8080"), "localhost 8080");
    assert_eq!(named("192.0.2.1:80"), "192.0.2.1:80");
    assert_eq!(named("[2001:db8::1]:80"), "[2001:db8::1]:80");
    assert_eq!(named("web.example"), "web.example has no port");
    assert_eq!(named("web.example:0"), "port \"0\" is not between 1 and 65535");
    assert_eq!(named("192.0.2.256:80"), "\"192.0.2.256:80\" is no IP address with a port");
    assert_eq!(named("192.0.2:80"), "\"192.0.2:80\" is no IP address with a port");
    assert_eq!(help(named_endpoint("web.example")), "write it as \"web.example:80\"");
    for text in ["", ":80", "a b:80", "*.example:80", "[web]:80", "a..b:80", "2001:db8::1"] {
        assert!(named_endpoint(text).is_err(), "{text:?}");
    }
}

#[test]
fn heartbeats_have_a_port_of_their_own() {
    let read = |text| heartbeat_endpoint(text).unwrap().to_string();
    assert_eq!(read("192.0.2.1"), "192.0.2.1:694");
    assert_eq!(read("192.0.2.1:7000"), "192.0.2.1:7000");
    assert_eq!(read("2001:db8::1"), "[2001:db8::1]:694");
    assert_eq!(read("[2001:db8::1]:7000"), "[2001:db8::1]:7000");
    assert!(heartbeat_endpoint("::").is_err());
    assert!(heartbeat_endpoint("lb2").is_err());
}

#[test]
fn devices_are_named_as_the_kernel_wants_it() {
    for good in ["lo", "eth0", "enp3s0f1np0", "bond0.100", "br-lan", "123456789012345"] {
        assert_eq!(device(good).unwrap(), good);
    }
    for bad in ["", "1234567890123456", ".", "..", "a/b", "a b", "eth0:1", "a\u{7f}"] {
        assert!(device(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn hosts_are_names_or_literals_without_a_port() {
    assert_eq!(host("WWW.Example.com").unwrap(), "www.example.com");
    assert_eq!(host("198.51.100.10").unwrap(), "198.51.100.10");
    assert_eq!(host("[2001:DB8::1]").unwrap(), "[2001:db8::1]");
    for bad in ["", ".", "a..b", "a.", "a b", "http://a", "[::g]", "bücher.example", &"a".repeat(64)] {
        assert!(host(bad).is_err(), "{bad:?}");
    }
    assert_eq!(help(host("www.example.com:80")), "write \"www.example.com\"");
    assert!(host("*.example.com").is_err());
}

#[test]
fn a_route_may_ask_for_all_hosts_below_one() {
    assert_eq!(host_match("WWW.Example.com").unwrap(), HostMatch::Exact("www.example.com".into()));
    assert_eq!(host_match("*.Example.com").unwrap(), HostMatch::Below("example.com".into()));
    for bad in ["*", "*.", "*.*.example.com", "*example.com", "www.*", "*.[2001:db8::1]", "*.example.com:80"] {
        assert!(host_match(bad).is_err(), "{bad:?}");
    }
    assert_eq!(help(host_match("w*.example.com")), "a pattern is \"*.\" and a whole name, as in \"*.example.com\"");
}

#[test]
fn a_redirect_may_go_to_another_port() {
    assert_eq!(host_and_port("Example.com:8443").unwrap(), "example.com:8443");
    assert_eq!(host_and_port("[2001:db8::1]:8443").unwrap(), "[2001:db8::1]:8443");
    assert_eq!(host_and_port("[2001:db8::1]").unwrap(), "[2001:db8::1]");
    for bad in ["example.com:", "example.com:0", "example.com:65536", "example.com:+80", ":80", "example.com\r\nX: y"] {
        assert!(host_and_port(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn paths_are_compared_as_they_are_sent() {
    assert_eq!(path("/a%20b/").unwrap(), "/a%20b/");
    assert!(path("/a?b").is_err() && path("/a#b").is_err() && path("").is_err());
    assert_eq!(help(path("api/")), "write \"/api/\"");
    assert_eq!(help(path("/ä")), "write it as \"%C3%A4\"");
    assert_eq!(target("/check?full=1").unwrap(), "/check?full=1");
    assert!(target("/a\r\nHost: b").is_err());
}

#[test]
fn status_codes_come_one_by_one_or_in_ranges() {
    let read = |text| status_ranges(text).map(|ranges| ranges.iter().map(|r| (r.first, r.last)).collect::<Vec<_>>());
    assert_eq!(read("200-399"), Ok(vec![(200, 399)]));
    assert_eq!(read("200, 204,300-302"), Ok(vec![(200, 200), (204, 204), (300, 302)]));
    for bad in ["", "200,", "2xx", "99", "600", "200-", "-1", "399-200", "+200", "200-299-399"] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
    assert_eq!(help(status_ranges("399-200")), "write \"200-399\"");
}

#[test]
fn a_cookies_name_is_a_token() {
    assert_eq!(token("LB").unwrap(), "LB");
    assert!(token("").is_err() && token("a b").is_err() && token("a=b").is_err() && token("ä").is_err());
}

proptest! {
    #[test]
    fn no_text_makes_any_of_them_panic(text in "\\PC{0,20}|[0-9a-f.:/%\\[\\]+,-]{0,24}") {
        let _ = (vip_address(&text), named_endpoint(&text), heartbeat_endpoint(&text), device(&text), host(&text));
        let _ = (host_and_port(&text), path(&text), token(&text), status_ranges(&text));
    }

    #[test]
    fn what_a_vip_address_prints_it_reads(bits: u32, len in 1u8..=32) {
        let address = VipAddress { ip: Ipv4Addr::from_bits(bits).into(), prefix_len: len };
        if let Ok(read) = vip_address(&address.to_string()) {
            prop_assert_eq!(read, address);
        }
    }
}
