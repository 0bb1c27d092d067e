use super::*;
use flowtable::{KeyV4, KeyV6, Table};
use std::sync::Mutex;

/// Tests that write the system's settings go one by one.
static SYSTEM: Mutex<()> = Mutex::new(());

const ASKED: Asked = Asked {
    flows: (100_000, 50_000),
    secret: TableSecret([9; 16]),
    memory: Memory::Auto,
};

fn take(memory: Memory) -> Taken {
    let asked = Asked { memory, ..ASKED };
    flow_tables(&asked, &Clock::start(), &|_| {}).expect("memory")
}

fn system(all: u64, free: u64, shmem: &str) -> System {
    System {
        pool: (all, free),
        shmem: shmem.into(),
    }
}

/// A setting of the system that has another value until this is dropped.
struct Setting {
    path: &'static str,
    was: String,
}

impl Setting {
    /// `None`: it may not be written here.
    fn of(path: &'static str, value: &str) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let was = match in_force(&text) {
            "" => text.trim().to_owned(),
            word => word.to_owned(),
        };
        let setting = Self { path, was };
        fs::write(path, value).ok()?;
        Some(setting)
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = fs::write(self.path, &self.was);
    }
}

/// Both tables can be opened by another mapping, and are those that were made.
fn opens(taken: &Taken) {
    let (v4, v6) = (&taken.tables.v4, &taken.tables.v6);
    let (file, origin) = v4.file().expect("a memfd");
    let other = Table::<KeyV4>::open(file).expect("the same table");
    assert_eq!(other.secret(), &ASKED.secret);
    assert_eq!(other.stats().capacity, v4.stats().capacity);
    assert!(origin.clock_base_ms <= monotonic_ms().unwrap());
    let (file, _) = v6.file().expect("a memfd");
    assert!(Table::<KeyV6>::open(file).is_ok() && Table::<KeyV4>::open(file).is_err());
    let cut = file.set_len(0).expect_err("it is sealed");
    assert_eq!(cut.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn a_memfd_that_was_asked_for_is_made_on_whatever_pages_and_said_so() {
    let _alone = SYSTEM.lock();
    let taken = take(Memory::Memfd);
    opens(&taken);
    assert!(taken.how.starts_with("memfd on "), "{}", taken.how);
    let small = taken.how.contains("small pages");
    assert_eq!(small, taken.how.contains("nr_hugepages"), "{}", taken.how);
    assert_eq!(taken.how.lines().count(), 1);
}

#[test]
fn anonymous_memory_is_had_by_asking_and_is_nobody_elses() {
    let taken = take(Memory::Anonymous);
    assert!(taken.tables.v4.file().is_none() && taken.tables.v6.file().is_none());
    assert!(taken.how.ends_with("asked for"), "{}", taken.how);
}

#[test]
fn with_a_pool_that_suffices_the_tables_are_in_it() {
    let _alone = SYSTEM.lock();
    let wants = file_bytes(&ASKED).iter().sum::<u64>() / HUGE;
    let all = System::look().pool.0 + wants;
    let setting = Setting::of("/proc/sys/vm/nr_hugepages", &all.to_string());
    if setting.is_none() || System::look().pool.1 < wants {
        eprintln!("SKIPPED: no pool of {wants} huge pages can be had here (root, and 2 MiB each)");
        return;
    }
    let free = System::look().pool.1;
    assert_eq!(of_pool(&ASKED), wants * HUGE);
    let taken = take(Memory::Auto);
    assert_eq!(taken.how, "memfd on huge pages of the pool");
    opens(&taken);
    let pages = taken.tables.pages();
    assert_eq!(pages.huge, pages.bytes, "all of it is on huge pages");
    assert_eq!(System::look().pool.1, free - wants);
    drop(taken);
    assert_eq!(System::look().pool.1, free, "and is given back");
}

#[test]
fn with_transparent_huge_pages_for_shared_memory_the_tables_are_on_them() {
    let _alone = SYSTEM.lock();
    if System::look().pool.1 > 0 || Setting::of(SHMEM, "advise").is_none() {
        eprintln!("SKIPPED: {SHMEM} cannot be written here (root)");
        return;
    }
    let _setting = Setting::of(SHMEM, "advise");
    let taken = take(Memory::Auto);
    if taken.how != "memfd on transparent huge pages" {
        eprintln!(
            "SKIPPED: the system has no free huge pages just now: {}",
            taken.how
        );
        return;
    }
    opens(&taken);
    let pages = taken.tables.pages();
    assert!(pages.huge >= pages.bytes / 2, "{pages:?}");
}

#[test]
fn the_best_pages_that_the_system_has_are_tried_first() {
    use Pages::{Pool, Small, Transparent};
    let bytes = 10 * HUGE;
    let choices = |all, free, shmem: &str, memory| system(all, free, shmem).choices(memory, bytes);
    assert_eq!(choices(20, 10, "never", Memory::Auto), [Pool]);
    assert_eq!(choices(20, 9, "never", Memory::Auto), []);
    assert_eq!(choices(0, 0, "advise", Memory::Auto), [Transparent]);
    assert_eq!(choices(0, 0, "deny", Memory::Auto), []);
    assert_eq!(choices(0, 0, "", Memory::Memfd), [Small]);
    assert_eq!(
        choices(20, 20, "always", Memory::Memfd),
        [Pool, Transparent, Small]
    );
    assert_eq!(choices(20, 20, "always", Memory::Anonymous), []);
}

#[test]
fn what_would_give_huge_pages_is_said_with_the_number() {
    let line = system(7, 3, "never").why_not(10 * HUGE);
    assert!(
        line.contains("write 14 to /proc/sys/vm/nr_hugepages (3 of the 10"),
        "{line}"
    );
    assert_eq!(in_force("always within_size [never] deny"), "never");
    assert_eq!(in_force("20\n"), "");
}
