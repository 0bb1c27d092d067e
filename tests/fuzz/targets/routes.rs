//! Files of routes: text, MRT, either of them compressed. Whatever the bytes are, reading ends with routes or with one line.

use flowgate::routefile::{Options, read, read_gateways};

pub(crate) fn run(data: &[u8]) {
    // The first byte says what the command line would.
    let Some((flags, file)) = data.split_first() else {
        return;
    };
    let gateways = |word: &str| (flags & 1 == 1).then(|| read_gateways(word).expect("a gateway"));
    let options = Options {
        gateways: [gateways("192.0.2.11"), gateways("2001:db8::11")],
        peer: (flags & 2 != 0).then_some(u16::from(flags >> 4)),
        recursive: flags & 4 != 0,
        ..Options::default()
    };
    match read(file, &options, &mut |_| {}) {
        Ok(routes) => {
            let (v4, v6) = routes.counts();
            assert!(
                v4 + v6 <= file.len() * 2000,
                "{v4} and {v6} routes of {} bytes",
                file.len()
            );
        }
        Err(wrong) => assert!(!wrong.to_string().contains('\n'), "{wrong}"),
    }
}
