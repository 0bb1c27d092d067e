//! C34 to C38: IPv4 options.

use flowgate_tests::case;
use flowgate_tests::conform::{Error, GATEWAY, datagram, error, hop, to_rack};
use flowgate_tests::net::craft::echo_request;
use flowgate_tests::net::zoo::with_options;
use flowgate_tests::rack::{CLIENTS, Family, RACK};
use flowgate_tests::sim::ip;
use stack::fate::DropReason::{IpOptions, IpOptionsRefused, IpSourceRoute};

fn with(options: &[u8]) -> Vec<u8> {
    with_options(&datagram(Family::V4), options)
}

#[test]
fn c34_source_routes_are_refused() {
    let mut case = case!(
        "RFC 7126 4.3, 4.4: loose and strict source routes are dropped and counted, whether they are at their end or not"
    );
    for kind in [131, 137] {
        for pointer in [4, 8] {
            let packet = with(&[kind, 7, pointer, 192, 0, 2, 12, 1]);
            case = case.arrives(CLIENTS, &packet).dropped(IpSourceRoute);
        }
    }
    case.holds();
}

#[test]
fn c34_who_sent_a_source_route_is_told_if_the_operator_wants_that() {
    let mut case = case!(
        "RFC 1812 5.2.7.1: a source route that is not obeyed: dropped, and its sender told, 3/5"
    );
    case = case.set("source-routes clients refuse");
    for (n, kind) in (1..).zip([131, 137]) {
        let packet = with(&[kind, 7, 4, 192, 0, 2, 12, 1]);
        let told = Error {
            from: GATEWAY,
            kind: (3, 5),
            rest: 0,
            no: n,
        };
        case = case
            .arrives(CLIENTS, &packet)
            .dropped(IpSourceRoute)
            .error(CLIENTS, &error(told, &packet));
    }
    case.holds();
}

#[test]
fn c37_an_unknown_option_passes_unchanged() {
    let mut case = case!(
        "RFC 1812 4.2.2.6, 5.3.13.1, RFC 7126: options that the gateway does not know stay as they are"
    );
    let options: [&[u8]; 5] = [
        &[30, 4, 0xab, 0xcd],
        &[158, 8, 1, 2, 3, 4, 5, 6],
        &[148, 4, 0, 0],
        &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[1, 1, 1, 0],
    ];
    for (n, options) in options.into_iter().enumerate() {
        let packet = with(options);
        case = case
            .arrives(CLIENTS, &packet)
            .goes_on(RACK, &to_rack(&hop(&packet)))
            .counts("pinned", u64::from(n > 0));
    }
    case.holds();
}

#[test]
fn c38_a_malformed_option_is_not_answered_where_options_are_not_worked_on() {
    for rule in ["ignore", "drop"] {
        case!("RFC 7126: who leaves options alone, or refuses them, does not correct them")
            .called(rule)
            .set(&format!("ip-options clients {rule}"))
            .arrives(CLIENTS, &with(&[68, 0, 0, 0]))
            .dropped(IpOptions)
            .holds();
    }
}

#[test]
fn c38_a_malformed_option_is_answered_with_a_pointer_to_it() {
    let mut case = case!(
        "RFC 1812 5.2.6, RFC 792: length 0 or 1, or beyond the header: 12/0, the pointer at the option"
    );
    let malformed: [(&[u8], u8); 4] = [
        (&[68, 0, 0, 0], 20),
        (&[30, 1, 0, 0], 20),
        (&[1, 1, 30, 3], 22),
        (&[148, 4, 0, 0, 1, 1, 1, 7], 27),
    ];
    for (n, (options, pointer)) in (1..).zip(malformed) {
        let packet = with(options);
        let told = Error {
            from: GATEWAY,
            kind: (12, 0),
            rest: u32::from(pointer) << 24,
            no: n,
        };
        case = case
            .arrives(CLIENTS, &packet)
            .dropped(IpOptions)
            .error(CLIENTS, &error(told, &packet));
    }
    case.holds();
}

/// The packet one hop later, with these options.
fn on_its_way(options: &[u8]) -> Vec<u8> {
    to_rack(&hop(&with(options)))
}

#[test]
fn c35_record_route_is_filled_in_while_there_is_room() {
    case!("RFC 791 3.1, RFC 1812 5.3.13.5: the address that it leaves by, the pointer four further; a full one goes on as it is")
        .arrives(CLIENTS, &with(&[7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
        .goes_on(RACK, &on_its_way(&[7, 11, 8, 192, 0, 2, 1, 0, 0, 0, 0, 0]))
        .arrives(CLIENTS, &with(&[1, 7, 7, 4, 0, 0, 0, 0]))
        .counts("pinned", 1)
        .goes_on(RACK, &on_its_way(&[1, 7, 7, 8, 192, 0, 2, 1]))
        .arrives(CLIENTS, &with(&[7, 7, 8, 10, 9, 9, 9, 0]))
        .counts("pinned", 1)
        .goes_on(RACK, &on_its_way(&[7, 7, 8, 10, 9, 9, 9, 0]))
        .holds();
}

#[test]
fn c35_record_route_with_some_room_but_not_enough_is_a_parameter_problem() {
    let mut case = case!(
        "RFC 791 3.1: dropped, 12/0 at the pointer; the same for a pointer into the option's head"
    );
    for (n, options) in (1..).zip([
        [7, 7, 5, 0, 0, 0, 0, 0],
        [7, 7, 7, 0, 0, 0, 0, 0],
        [7, 7, 3, 0, 0, 0, 0, 0],
    ]) {
        let packet = with(&options);
        let told = Error {
            from: GATEWAY,
            kind: (12, 0),
            rest: 22 << 24,
            no: n,
        };
        case = case
            .arrives(CLIENTS, &packet)
            .dropped(IpOptions)
            .error(CLIENTS, &error(told, &packet));
    }
    case.holds();
}

#[test]
fn c35_options_can_be_left_alone_or_refused() {
    let packet = with(&[7, 7, 4, 0, 0, 0, 0, 0]);
    let bad = with(&[7, 7, 5, 0, 0, 0, 0, 0]);
    case!("RFC 7126: \"forward as if the packet did not contain the option\"")
        .called("ignore")
        .set("ip-options clients ignore")
        .arrives(CLIENTS, &packet)
        .goes_on(RACK, &to_rack(&hop(&packet)))
        .arrives(CLIENTS, &bad)
        .counts("pinned", 1)
        .goes_on(RACK, &to_rack(&hop(&bad)))
        .holds();
    case!("RFC 7126, FreeBSD's net.inet.ip.process_options=2: dropped and counted, any option")
        .called("drop")
        .set("ip-options clients drop")
        .arrives(CLIENTS, &packet)
        .dropped(IpOptionsRefused)
        .arrives(CLIENTS, &with(&[30, 4, 1, 2]))
        .dropped(IpOptionsRefused)
        .holds();
}

#[test]
fn c35_an_echo_reply_has_its_route_recorded_too() {
    let echo = |ends: (&str, &str), options: &[u8]| {
        let packet = echo_request(ip(ends.0), ip(ends.1), 7, 7, b"ping -R");
        with_options(&packet, options)
    };
    let request = echo(
        ("10.3.3.3", "192.0.2.1"),
        &[7, 11, 8, 10, 9, 9, 9, 0, 0, 0, 0, 0],
    );
    let mut reply = echo(
        ("192.0.2.1", "10.3.3.3"),
        &[7, 11, 12, 10, 9, 9, 9, 10, 0, 0, 1, 0],
    );
    reply[32] = 0;
    smoltcp::wire::Icmpv4Packet::new_unchecked(&mut reply[32..]).fill_checksum();
    case!("RFC 1122 3.2.2.6: the reply has the option, with the address that it leaves by")
        .arrives(CLIENTS, &request)
        .echo(CLIENTS, &reply)
        .holds();
}

#[test]
fn c36_times_are_recorded_and_those_without_room_counted() {
    // The gateway has no time of day: milliseconds since its start, with the highest bit set (RFC 791 §3.1).
    let ms = [0x80, 0, 0, 100];
    let own = [192, 0, 2, 1];
    let option = |head: [u8; 4], rest: &[&[u8]]| [&head[..], &rest.concat()].concat();
    case!("RFC 791 3.1, RFC 1812 5.3.13.6: times alone, with addresses, for addresses of the sender's choice; one more in the overflow if there is no room")
        .arrives(CLIENTS, &with(&option([68, 8, 5, 0], &[&[0; 4]])))
        .goes_on(RACK, &on_its_way(&option([68, 8, 9, 0], &[&ms])))
        .arrives(CLIENTS, &with(&option([68, 12, 5, 1], &[&[0; 8]])))
        .goes_on(RACK, &on_its_way(&option([68, 12, 13, 1], &[&own, &ms])))
        .arrives(CLIENTS, &with(&option([68, 12, 5, 3], &[&own, &[0; 4]])))
        .goes_on(RACK, &on_its_way(&option([68, 12, 13, 3], &[&own, &ms])))
        .arrives(CLIENTS, &with(&option([68, 12, 5, 3], &[&[10, 9, 9, 9], &[0; 4]])))
        .goes_on(RACK, &on_its_way(&option([68, 12, 5, 3], &[&[10, 9, 9, 9], &[0; 4]])))
        .arrives(CLIENTS, &with(&option([68, 8, 9, 0xe0], &[&[1; 4]])))
        .goes_on(RACK, &on_its_way(&option([68, 8, 9, 0xf0], &[&[1; 4]])))
        .counts("pinned", 4)
        .holds();
}

#[test]
fn c36_an_overflow_that_overflows_is_a_parameter_problem() {
    let mut case = case!(
        "RFC 791 3.1: dropped, 12/0: at the count, at a flag that nobody knows, at a pointer without room or into the head"
    );
    let wrong: [(&[u8], u8); 4] = [
        (&[68, 8, 9, 0xf0, 1, 1, 1, 1], 23),
        (&[68, 8, 5, 0x02, 0, 0, 0, 0], 23),
        (&[68, 8, 7, 0, 0, 0, 0, 0], 22),
        (&[68, 8, 4, 0, 0, 0, 0, 0], 22),
    ];
    for (n, (options, pointer)) in (1..).zip(wrong) {
        let packet = with(options);
        let told = Error {
            from: GATEWAY,
            kind: (12, 0),
            rest: u32::from(pointer) << 24,
            no: n,
        };
        case = case
            .arrives(CLIENTS, &packet)
            .dropped(IpOptions)
            .error(CLIENTS, &error(told, &packet));
    }
    case.holds();
}
