//! The parser against texts of kernels, texts of no kernel, and this process.

use proptest::prelude::*;

use super::{
    Behind::{Anonymous, FileOrShared, Heap, Stack},
    *,
};

const TEXT: &str = "\
5581a4c00000-5581a4c21000 rw-p 00000000 00:00 0                          [heap]
Size:                132 kB
KernelPageSize:        4 kB
Rss:                  12 kB
Pss:                  11 kB
Pss_Dirty:            12 kB
Private_Dirty:        12 kB
Anonymous:            12 kB
LazyFree:              4 kB
AnonHugePages:         0 kB
Swap:                  8 kB
SwapPss:               8 kB
VmFlags: rd wr mr mw me ac
7f0000000000-7f0000001000 r--p 00000000 fe:00 1311 /usr/lib/a: b
Rss:                   4 kB
Anonymous:             0 kB
VmFlags: rd mr
7f1000000000-7f1000001000 ---p 00000000 00:00 0
7f1000001000-7f1000801000 rw-p 00000000 00:00 0
Rss:                2048 kB
AnonHugePages:      2048 kB
VmFlags: rd wr nh
7f2000000000-7f2000001000 rw-s 00000000 00:01 77 /dev/zero (deleted)
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
7ffd00030000-7ffd00032000 r-xp 00000000 00:00 0                          [vdso]
7ffe00000000-7ffe00001000 rw-p 00000000 00:00 0                          [anon:mine]
7ffe00001000-7ffe00002000 rw-s 00000000 00:00 0                          [anon_shmem:x]
";

#[test]
fn sizes_flags_and_what_lies_behind() {
    let all = parse(TEXT.as_bytes()).unwrap();
    let behind: Vec<_> = all.iter().map(|entry| entry.behind).collect();
    let wanted = [
        Heap,
        FileOrShared,
        Anonymous,
        Anonymous,
        FileOrShared,
        Stack,
        FileOrShared,
        Anonymous,
        FileOrShared,
    ];
    assert_eq!(behind, wanted);
    let heap = all[0];
    assert_eq!((heap.rss, heap.pss, heap.anonymous), (12 << 10, 11 << 10, 12 << 10));
    assert_eq!((heap.lazy_free, heap.swap, heap.huge), (4 << 10, 8 << 10, 0));
    assert!(heap.writable && heap.accessible && !heap.is_whole() && !heap.declines_huge);
    assert!(!all[2].accessible && all[3].declines_huge && all[3].huge == 2 << 20);
    assert_eq!(all[3].size(), 8 << 20);
}

#[test]
fn what_is_not_understood_is_an_error_with_its_line() {
    for (text, line) in [
        ("Rss: 4 kB\n", 1),
        ("1000-2000 rw-p 0 0:0 0\nRss: x kB\n", 2),
        ("1000-2000 rw-p 0 0:0 0\nRss: 4\n", 2),
        ("1000-2000 rw-p 0 0:0 0\nRss: 18446744073709551615 kB\n", 2),
        ("1000-2000 rw-p 0 0:0 0\nnonsense\n", 2),
    ] {
        assert!(
            matches!(parse(text.as_bytes()), Err(SmapsError::Line(at)) if at == line),
            "{text}"
        );
    }
    assert_eq!(parse(&b""[..]).unwrap(), []);
}

#[test]
fn this_process_has_all_its_memory_in_the_list() {
    let all = read(std::process::id()).unwrap();
    let sum = |part: fn(&Entry) -> u64| all.iter().map(part).sum::<u64>();
    assert!(all.iter().any(|entry| entry.behind == Stack));
    assert!(sum(|entry| entry.rss) >= sum(|entry| entry.anonymous));
    assert!(sum(|entry| entry.anonymous) > 0);
    let gone = read(u32::MAX >> 1);
    assert!(matches!(gone, Err(SmapsError::Io(error)) if error.kind() == io::ErrorKind::NotFound));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _either = parse(&bytes[..]);
    }

    #[test]
    fn any_lines_give_disjoint_mappings_or_an_error(
        lines in proptest::collection::vec(
            prop_oneof![
                (0..64_u64, 1..9_u64).prop_map(|(start, size)| format!(
                    "{:x}-{:x} rw-p 00000000 00:00 0 ", start << 12, (start + size) << 12
                )),
                (0..99_u64).prop_map(|kib| format!("Rss: {kib} kB")),
                "(Rss|Swap|VmFlags|Pss): {0,3}[0-9a-z]{0,22}( kB)?",
            ],
            0..40,
        ),
    ) {
        if let Ok(all) = parse(lines.join("\n").as_bytes()) {
            for pair in all.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start);
            }
            prop_assert!(all.iter().all(|entry| entry.start < entry.end));
        }
    }
}
