use memtrace_common::event::Kind as Record;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn header(kind: Record, tid: u32, time_ns: u64) -> Header {
    Header {
        kind: kind as u8,
        op: 0,
        flags: 0,
        pid: 40,
        tid,
        incarnation: 1,
        time_ns,
    }
}

fn take(heaps: &mut JsHeaps, tid: u32, second: u64, bytes: u64) {
    heaps.allocated(&JsAllocated {
        header: header(Record::JsAllocated, tid, second * SECOND),
        bytes,
        // Of the main thread young ones, of the other old ones.
        space: if tid == 40 { 1 } else { 2 },
        reserved: 0,
    });
}

fn collect(heaps: &mut JsHeaps, tid: u32, second: u64, (kind, pause_ns): (u32, u64), (before, after): (u64, u64)) {
    heaps.collected(&JsCollected {
        header: header(Record::JsCollected, tid, second * SECOND),
        pause_ns,
        kind,
        reason: 1,
        before_bytes: before,
        after_bytes: after,
        before_memory: 2 * before,
        after_memory: 2 * after,
    });
}

fn some() -> JsHeaps {
    let mut heaps = JsHeaps::default();
    take(&mut heaps, 40, 10, 700);
    collect(&mut heaps, 40, 11, (0, 5), (1000, 300));
    take(&mut heaps, 40, 12, 100);
    collect(&mut heaps, 40, 13, (2, 50), (400, 250));
    take(&mut heaps, 40, 14, 30);
    take(&mut heaps, 41, 14, 9000);
    heaps
}

#[test]
fn each_thread_has_its_sums() {
    let heaps = some().heaps(10 * SECOND, &[]);
    assert_eq!(heaps.len(), 2);
    assert_eq!((heaps[0].tid, heaps[0].allocated, heaps[0].used()), (41, 9000, None));
    let main = &heaps[1];
    assert_eq!((main.pid, main.allocated, main.used()), (40, 830, Some(280)));
    assert_eq!(main.steps.first(), Some(&(Duration::ZERO, 700)));
    assert!(main.spaces.some().eq([(Space::Young, 830)]));
    assert!(heaps[0].spaces.some().eq([(Space::Old, 9000)]));
    let kinds: Vec<_> = (main.sums.iter())
        .map(|(kind, pauses)| (*kind, pauses.count, pauses.all.as_nanos()))
        .collect();
    assert_eq!(kinds, [(Kind::Scavenge, 1, 5), (Kind::MarkCompact, 1, 50)]);
    assert_eq!(main.after_full, [(Duration::from_secs(3), 250)]);
    let first = main.collections[0];
    assert_eq!((first.at, first.before_memory), (Duration::from_secs(1), 2000));
    assert_eq!(first.pause, Some(Duration::from_nanos(5)));
}

#[test]
fn a_recording_tells_the_same() {
    let (mut told, mut read) = (JsTold::default(), JsHeaps::default());
    let mut heaps = JsHeaps::default();
    for second in 0..40 {
        take(&mut heaps, 40, second, 10 + second);
        collect(&mut heaps, 40, second, ((second % 3) as u32, second), (100, second));
        if second % 7 == 6 {
            for news in heaps.news(&mut told) {
                read.learn(second * SECOND, news);
            }
        }
    }
    take(&mut heaps, 41, 40, 5);
    for news in heaps.news(&mut told) {
        read.learn(40 * SECOND, news);
    }
    assert!(heaps.news(&mut told).is_empty(), "nothing is new");
    let (live, read) = (heaps.heaps(0, &[]), read.heaps(0, &[]));
    assert_eq!(live.len(), read.len());
    for (live, read) in live.iter().zip(read) {
        let sum = |heap: &JsHeap| heap.steps.iter().map(|(_, bytes)| bytes).sum::<u64>();
        assert_eq!(sum(live), sum(&read));
        // Only when something was taken is known moment by moment.
        let steps = live.steps.clone();
        assert_eq!(*live, JsHeap { steps, ..read });
    }
}

#[test]
fn a_part_has_only_what_came_in_it() {
    let mut heaps = some();
    let before = heaps.clone();
    take(&mut heaps, 40, 20, 70);
    collect(&mut heaps, 40, 21, (0, 7), (350, 300));
    let part = heaps.since(&before, 15 * SECOND).heaps(15 * SECOND, &[]);
    assert_eq!(part.len(), 1, "the other thread has done nothing");
    assert_eq!(
        (part[0].allocated, part[0].collected(), part[0].used()),
        (70, 1, Some(300))
    );
    assert_eq!(part[0].sums[0].1.longest, Duration::from_nanos(7));
    assert!(part[0].after_full.is_empty());
    assert_eq!(part[0].spaces.of(Space::Young), 70);
    assert_eq!(part[0].steps, [(Duration::from_secs(5), 70)]);
}

#[test]
fn memory_is_bounded() {
    let mut heaps = JsHeaps::default();
    for tid in 0..1000 {
        take(&mut heaps, tid + 1, 1, 1);
    }
    let all = heaps.heaps(0, &[]);
    assert!(all.len() <= MOST_THREADS + 1, "{}", all.len());
    assert_eq!(all.iter().map(|heap| heap.allocated).sum::<u64>(), 1000);
    assert_eq!((all[0].pid, all[0].tid), (0, 0), "those that had no room");
    for second in 0..10_000 {
        collect(&mut heaps, 1, second, (1, 2), (100, second));
    }
    let all = heaps.heaps(0, &[]);
    let main = all.iter().find(|heap| heap.tid == 1).unwrap();
    assert_eq!(main.collected(), 10_000);
    assert_eq!(main.collections.len(), MOST_COLLECTIONS);
    assert!(main.after_full.len() <= 2 * MOST_FULL + 1);
    assert_eq!(main.after_full.first(), Some(&(Duration::ZERO, 0)));
    assert_eq!(main.after_full.last(), Some(&(Duration::from_secs(9999), 9999)));
    assert!((main.trend().unwrap().bytes_per_minute - 60.0).abs() < 1e-6);
}
