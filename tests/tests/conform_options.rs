//! C34 to C38: IPv4 options.

use flowgate_tests::case;
use flowgate_tests::conform::{Error, GATEWAY, datagram, error, hop, to_rack};
use flowgate_tests::net::zoo::with_options;
use flowgate_tests::rack::{CLIENTS, Family, RACK};
use stack::fate::DropReason::{IpOptions, IpSourceRoute};

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
fn c37_an_unknown_option_passes_unchanged() {
    let mut case = case!(
        "RFC 1812 4.2.2.6, 5.3.13.1, RFC 7126 4.23: options that the gateway does not know stay as they are"
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
