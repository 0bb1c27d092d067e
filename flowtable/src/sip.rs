//! SipHash-1-3 (Aumasson and Bernstein, 2012) of whole words in little-endian order.
//!
//! One round a word and one for the length, three at the end. Written out for words because a general one, which takes
//! bytes in pieces, is three times as long; and for one or more lanes, each a hash of its own, because a machine that
//! has wide registers computes eight as fast as one.

/// The state of `N` hashes side by side.
type State<const N: usize> = [[u64; N]; 4];

/// The hash of some words.
#[inline]
pub(crate) fn sip13(secret: &[u8; 16], words: &[u64]) -> u64 {
    let [hash] = sip13_lanes(secret, words.iter().map(|word| [*word]), words.len());
    hash
}

/// The hashes of `N` sequences of `len` words; `words` gives the first word of each, then the second, and so on.
#[inline(always)]
pub(crate) fn sip13_lanes<const N: usize>(
    secret: &[u8; 16],
    words: impl Iterator<Item = [u64; N]>,
    len: usize,
) -> [u64; N] {
    let (k0, k1) = halves(secret);
    let mut state = [
        [k0 ^ 0x736f_6d65_7073_6575; N],
        [k1 ^ 0x646f_7261_6e64_6f6d; N],
        [k0 ^ 0x6c79_6765_6e65_7261; N],
        [k1 ^ 0x7465_6462_7974_6573; N],
    ];
    for word in words {
        compress(&mut state, &word);
    }
    // The last word has the length in bytes, modulo 256, on top.
    compress(&mut state, &[(len as u64 * 8) << 56; N]);
    state[2] = map(&state[2], &[0xff; N], |a, b| a ^ b);
    round(&mut state);
    round(&mut state);
    round(&mut state);
    let [a, b, c, d] = state;
    map(
        &map(&a, &b, |a, b| a ^ b),
        &map(&c, &d, |a, b| a ^ b),
        |a, b| a ^ b,
    )
}

/// Both halves of a secret, little-endian.
#[inline]
pub(crate) fn halves(secret: &[u8; 16]) -> (u64, u64) {
    let whole = u128::from_le_bytes(*secret);
    (whole as u64, (whole >> 64) as u64)
}

#[inline(always)]
fn compress<const N: usize>(v: &mut State<N>, word: &[u64; N]) {
    v[3] = map(&v[3], word, |a, b| a ^ b);
    round(v);
    v[0] = map(&v[0], word, |a, b| a ^ b);
}

#[inline(always)]
fn round<const N: usize>(v: &mut State<N>) {
    half_round(v, [0, 1, 2, 3], (13, 16));
    half_round(v, [2, 1, 0, 3], (17, 21));
}

/// Half a round: the first of `at` is rotated by 32 at the end.
#[inline(always)]
fn half_round<const N: usize>(v: &mut State<N>, at: [usize; 4], (left, right): (u32, u32)) {
    let [a, b, c, d] = at;
    v[a] = map(&v[a], &v[b], u64::wrapping_add);
    v[c] = map(&v[c], &v[d], u64::wrapping_add);
    v[b] = map(&v[b], &v[a], |b, a| b.rotate_left(left) ^ a);
    v[d] = map(&v[d], &v[c], |d, c| d.rotate_left(right) ^ c);
    v[a] = map(&v[a], &v[a], |a, _| a.rotate_left(32));
}

/// One operation in all lanes.
#[inline(always)]
fn map<const N: usize>(a: &[u64; N], b: &[u64; N], f: impl Fn(u64, u64) -> u64) -> [u64; N] {
    let mut all = [0; N];
    for (to, (a, b)) in all.iter_mut().zip(a.iter().zip(b)) {
        *to = f(*a, *b);
    }
    all
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use siphasher::sip::SipHasher13;

    #[test]
    fn every_lane_is_what_another_implementation_says() {
        let mut rng = fastrand::Rng::with_seed(13);
        for len in 0..7 {
            for _ in 0..200 {
                let secret = rng.u128(..).to_le_bytes();
                let lanes: Vec<[u64; 8]> = (0..len)
                    .map(|_| std::array::from_fn(|_| rng.u64(..)))
                    .collect();
                let hashes = sip13_lanes(&secret, lanes.iter().copied(), len);
                for (lane, hash) in hashes.iter().enumerate() {
                    let words: Vec<u64> = lanes.iter().map(|words| words[lane]).collect();
                    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
                    assert_eq!(*hash, SipHasher13::new_with_key(&secret).hash(&bytes));
                    assert_eq!(*hash, sip13(&secret, &words));
                }
            }
        }
    }
}
