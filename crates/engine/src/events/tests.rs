//! What is kept, and what a listener hears.

use std::fs;

use super::*;

fn happened(events: &Events, name: &str) {
    let attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
    events.publish(ObjectKind::Container, name, "0123", attributes);
}

async fn told(subscription: &mut Subscription, count: usize) -> Vec<String> {
    let mut actions = Vec::new();
    for _ in 0..count {
        actions.push(subscription.next().await.unwrap().action.clone());
    }
    actions
}

fn everything() -> Past {
    Past::Since(Timestamp::UNIX_EPOCH)
}

#[tokio::test]
async fn the_next_engine_knows_what_this_one_told() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::new(Events::open(folder.path()).unwrap());
    happened(&events, "one");
    happened(&events, "two");
    events.settle();
    let events = Arc::new(Events::open(folder.path()).unwrap());
    happened(&events, "three");

    let mut listener = events.subscribe(everything());
    happened(&events, "four");

    assert_eq!(told(&mut listener, 4).await, ["one", "two", "three", "four"]);
    assert!(listener.next_past().await.is_none());
}

#[tokio::test]
async fn what_is_torn_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let events = Events::open(folder.path()).unwrap();
    happened(&events, "one");
    events.settle();
    let file = folder.path().join("events.jsonl");
    let mut text = fs::read(&file).unwrap();
    text.extend(b"no event\n{\"at\":12,\"obj");
    text.extend([0; 100]);
    fs::write(&file, text).unwrap();

    let events = Arc::new(Events::open(folder.path()).unwrap());
    happened(&events, "two");

    assert_eq!(told(&mut events.subscribe(everything()), 2).await, ["one", "two"]);
}

#[tokio::test]
async fn who_is_too_slow_hears_everything_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::new(Events::open(folder.path()).unwrap());
    let mut listener = events.subscribe(Past::Nothing);
    let count = BACKLOG_LENGTH * 3;
    (0..count).for_each(|n| happened(&events, &n.to_string()));

    let expected: Vec<_> = (0..count).map(|n| n.to_string()).collect();
    assert_eq!(told(&mut listener, count).await, expected);
    happened(&events, "last");
    assert_eq!(told(&mut listener, 1).await, ["last"]);
}

#[tokio::test]
async fn old_events_make_room_for_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::new(Events::open(folder.path()).unwrap());
    let mut slow = events.subscribe(Past::Nothing);
    let long = "x".repeat(50_000);
    for n in 0..BACKLOG_LENGTH * 2 {
        let attributes = BTreeMap::from([("long".to_owned(), long.clone())]);
        events.publish(ObjectKind::Volume, n.to_string(), "v", attributes);
    }
    events.settle();

    let length = |name: &str| fs::metadata(folder.path().join(name)).unwrap().len();
    assert!(length("events.jsonl") <= 4 << 20);
    assert!(length("events.1.jsonl") <= 4 << 20);
    let kept = told(&mut events.subscribe(everything()), 41).await;
    // One who has slept for so long goes on with the oldest that is there.
    assert_eq!(told(&mut slow, 41).await, kept);
    assert_ne!(kept[0], "0");
}

/// So many that the files change.
fn much_happens(events: &Events) {
    let long = "x".repeat(50_000);
    for n in 0..90 {
        let attributes = BTreeMap::from([("long".to_owned(), long.clone())]);
        events.publish(ObjectKind::Volume, n.to_string(), "v", attributes);
    }
    events.settle();
}

#[tokio::test]
async fn a_failed_change_of_files_is_made_up_for() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::new(Events::open(folder.path()).unwrap());
    let obstacle = folder.path().join("events.next.jsonl");
    fs::create_dir(&obstacle).unwrap();
    much_happens(&events);
    assert!(!folder.path().join("events.1.jsonl").exists());
    let kept_length = fs::metadata(folder.path().join("events.jsonl")).unwrap().len();

    fs::remove_dir(&obstacle).unwrap();
    happened(&events, "one");
    let between = Timestamp::now();
    much_happens(&events);
    happened(&events, "two");

    let previous = fs::metadata(folder.path().join("events.1.jsonl")).unwrap().len();
    assert!(previous >= kept_length);
    let mut listener = events.subscribe(Past::Since(between));
    assert_eq!(told(&mut listener, 91).await.last().unwrap(), "two");
}

#[tokio::test]
async fn a_change_of_files_goes_on_where_it_was_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::new(Events::open(folder.path()).unwrap());
    happened(&events, "one");
    events.settle();
    let (current, previous) = ("events.jsonl", "events.1.jsonl");
    fs::rename(folder.path().join(current), folder.path().join(previous)).unwrap();
    much_happens(&events);
    happened(&events, "two");

    let kept = told(&mut events.subscribe(everything()), 92).await;
    assert_eq!((&*kept[0], &*kept[91]), ("one", "two"));
    let reopened = Arc::new(Events::open(folder.path()).unwrap());
    assert_eq!(told(&mut reopened.subscribe(everything()), 92).await, kept);
}

#[tokio::test]
async fn the_past_can_begin_late() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::new(Events::open(folder.path()).unwrap());
    happened(&events, "one");
    let between = Timestamp::now();
    happened(&events, "two");

    let mut listener = events.subscribe(Past::Since(between));
    assert_eq!(listener.next_past().await.unwrap().action, "two");
    assert!(listener.next_past().await.is_none());
}

#[test]
fn beginnings_and_ends_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let events = Events::open(folder.path()).unwrap();
    let run = Timestamp::now();
    let event = Event::new(ObjectKind::Container, "die", "0123", BTreeMap::new());
    events.publish_now(Event { run: Some(run), ..event });
    happened(&events, "other");
    events.settle();

    let told = Events::open(folder.path()).unwrap().told_runs();
    assert_eq!(told, HashSet::from([("0123".to_owned(), "die".to_owned(), run)]));
}

/// A log whose disk takes 64 KiB and nothing more, until somebody reads what it got.
struct Stalled {
    folder: tempfile::TempDir,
    events: Arc<Events>,
}

impl Stalled {
    /// So many of these events are more than the disk takes.
    const COUNT: usize = 100;

    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        let events = Arc::new(Events::open(folder.path()).unwrap());
        Self { folder, events }
    }

    fn fill(&self) {
        for n in 0..Self::COUNT {
            let attributes = BTreeMap::from([("long".to_owned(), "x".repeat(1000))]);
            self.events.publish(ObjectKind::Volume, n.to_string(), "v", attributes);
        }
    }

    /// Lets the disk take everything, and answers with what it got.
    fn go_on(&self) -> std::thread::JoinHandle<String> {
        use std::io::Read as _;
        let path = self.folder.path().join("events.jsonl");
        std::thread::spawn(move || {
            let mut file = fs::File::open(path).unwrap();
            let mut text = Vec::new();
            let mut piece = [0; 4096];
            while !text.ends_with(b"\"last\",\"id\":\"0123\",\"attributes\":{\"name\":\"last\"}}\n")
            {
                let length = file.read(&mut piece).unwrap();
                text.extend(&piece[..length]);
            }
            String::from_utf8(text).unwrap()
        })
    }
}

#[tokio::test]
async fn a_stalled_disk_stops_nobody_who_has_something_to_tell() {
    let stalled = Stalled::open();
    let events = &stalled.events;
    let mut early = events.subscribe(Past::Nothing);
    // On the only thread there is: if one of these waited for the disk, so would the test.
    stalled.fill();
    let mut late = events.subscribe(Past::Nothing);
    happened(events, "last");
    let soon = Duration::from_millis(200);
    assert!(tokio::time::timeout(soon, late.next()).await.is_err(), "told and not written");

    let written = stalled.go_on();
    let expected: Vec<_> = (0..Stalled::COUNT).map(|n| n.to_string()).collect();
    assert_eq!(told(&mut early, Stalled::COUNT).await, expected);
    assert_eq!(told(&mut early, 1).await, ["last"]);
    // What was told before he came is not for him, though it was written later.
    assert_eq!(told(&mut late, 1).await, ["last"]);
    assert_eq!(written.join().unwrap().lines().count(), Stalled::COUNT + 1);
}

#[tokio::test]
async fn what_a_stalled_disk_does_not_take_is_lost_once_it_is_too_much() {
    let stalled = Stalled::open();
    let mut listener = stalled.events.subscribe(Past::Nothing);
    let large = |n: usize| {
        let attributes = BTreeMap::from([("long".to_owned(), "x".repeat(1 << 20))]);
        stalled.events.publish(ObjectKind::Volume, n.to_string(), "v", attributes);
    };
    large(0);
    while stalled.events.0.queue_length() > 0 {
        tokio::task::yield_now().await;
    }
    // The first is being written, fifteen more have room.
    (1..40).for_each(large);

    let _goes_on = stalled.go_on();
    let expected: Vec<_> = (0..16).map(|n| n.to_string()).collect();
    assert_eq!(told(&mut listener, 16).await, expected);
    happened(&stalled.events, "last");
    assert_eq!(told(&mut listener, 1).await, ["last"]);
}

#[tokio::test]
async fn the_past_includes_what_was_told_a_moment_ago() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::new(Events::open(folder.path()).unwrap());
    for n in 0..100 {
        happened(&events, &n.to_string());
        let mut listener = events.subscribe(everything());
        let mut last = None;
        while let Some(event) = listener.next_past().await {
            last = Some(event.action.clone());
        }
        assert_eq!(last, Some(n.to_string()));
    }
}
