//! What allocates nothing where packets are: counted by an allocator of the program's own.

mod devices;
mod forwarding;

use flowgate_tests::counting::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
