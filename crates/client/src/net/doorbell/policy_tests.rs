use super::*;

const ALICE: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const BOB: &str = "did:web:bob.example";
const ONE: &str = "https://one.example";
const TWO: &str = "https://two.example";

fn did(did: &str) -> Did {
    did.parse().unwrap()
}

fn host(origin: &str) -> Source {
    Source::Host(origin.into())
}

fn repos(of: &[(&str, Option<&str>)]) -> BTreeSet<Listening> {
    of.iter().map(|(who, pds)| Listening { did: did(who), pds: pds.map(str::to_owned) }).collect()
}

fn rev(n: u64) -> Tid {
    Tid::from_micros(1_780_000_000_000_000 + n, 0)
}

fn bell(who: &str, n: u64) -> Doorbell {
    Doorbell { did: did(who), rev: Some(rev(n)), path: None, car: None }
}

const JETSTREAM: Source = Source::Jetstream(0);

/// Streams, the repos of Alice and Bob on two hosts, and a clock.
struct Scene {
    now: Timestamp,
    lines: Lines,
    repos: BTreeSet<Listening>,
}

impl Scene {
    fn new(jetstreams: usize) -> Self {
        Self {
            now: Timestamp::from_millis(1_780_000_000_000),
            lines: Lines::new(jetstreams),
            repos: repos(&[(ALICE, Some(ONE)), (BOB, Some(TWO))]),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
    }

    fn up(&mut self, source: &Source) {
        self.lines.up(source, self.now);
    }

    fn found(&mut self, who: &str, n: u64) {
        self.lines.found(&did(who), &rev(n), &self.repos, self.now);
    }

    fn tells(&mut self, source: &Source, who: &str, n: u64) {
        self.lines.heard(source, Some(&bell(who, n)), self.now);
    }

    fn decide(&mut self) -> Decision {
        self.lines.decide(&self.repos, self.now)
    }

    #[track_caller]
    fn expect(&mut self, run: &[Source], connected: Option<DoorbellKind>) {
        let decision = self.decide();
        assert_eq!(decision.run, run.iter().cloned().collect());
        assert_eq!(decision.connected, connected);
    }
}

#[test]
fn a_jetstream_alone_does_for_any_number_of_hosts() {
    let mut scene = Scene::new(1);
    scene.expect(&[JETSTREAM], None);
    scene.up(&JETSTREAM);
    scene.expect(&[JETSTREAM], Some(DoorbellKind::Jetstream));
    scene.repos.clear();
    scene.expect(&[], None);
}

#[test]
fn the_hosts_own_streams_do_the_work_while_every_jetstream_fails() {
    let mut scene = Scene::new(2);
    scene.lines.down(&JETSTREAM, scene.now);
    scene.expect(&[Source::Jetstream(1)], None);
    scene.lines.down(&Source::Jetstream(1), scene.now);
    scene.expect(&[JETSTREAM, host(ONE), host(TWO)], None);
    scene.up(&host(ONE));
    scene.expect(&[JETSTREAM, host(ONE), host(TWO)], None);
    scene.up(&host(TWO));
    scene.expect(&[JETSTREAM, host(ONE), host(TWO)], Some(DoorbellKind::Firehose));
    // A Jetstream takes over, and they stay until it has settled.
    scene.up(&JETSTREAM);
    scene.expect(&[JETSTREAM, host(ONE), host(TWO)], Some(DoorbellKind::Jetstream));
    let at = scene.decide().again_at.expect("there is something to end");
    scene.pass(at.saturating_since(scene.now));
    scene.expect(&[JETSTREAM], Some(DoorbellKind::Jetstream));
}

#[test]
fn waits_grow_and_a_good_connection_ends_the_count() {
    let mut scene = Scene::new(1);
    let mut waits = Vec::new();
    for _ in 0..12 {
        waits.push(scene.lines.down(&JETSTREAM, scene.now));
    }
    assert!(waits.is_sorted() && waits[0] == FIRST_WAIT && waits[11] == LONGEST_WAIT, "{waits:?}");
    scene.up(&JETSTREAM);
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.lines.down(&JETSTREAM, scene.now), LONGEST_WAIT, "a flapping one is no good one");
    scene.up(&JETSTREAM);
    scene.pass(GOOD);
    assert_eq!(scene.lines.down(&JETSTREAM, scene.now), FIRST_WAIT);
}

#[test]
fn without_a_jetstream_a_repo_whose_host_is_unknown_is_polled() {
    let mut scene = Scene::new(0);
    scene.expect(&[host(ONE), host(TWO)], None);
    scene.up(&host(ONE));
    scene.up(&host(TWO));
    scene.expect(&[host(ONE), host(TWO)], Some(DoorbellKind::Firehose));
    scene.repos = repos(&[(ALICE, Some(ONE)), (BOB, None)]);
    scene.expect(&[host(ONE)], None);
}

#[test]
fn there_is_an_end_to_how_many_hosts_are_listened_to() {
    let mut scene = Scene::new(0);
    scene.repos = (0..40)
        .map(|n| Listening {
            did: did(&format!("did:web:e{n}.example")),
            pds: Some(format!("https://h{n}.example")),
        })
        .collect();
    let run = scene.decide().run;
    assert_eq!(run.len(), MAX_HOSTS);
    run.iter().for_each(|source| scene.up(source));
    assert_eq!(scene.decide().connected, None, "the others are polled");
}

#[test]
fn a_loud_host_is_let_go_and_polled_for_a_while() {
    let mut scene = Scene::new(0);
    scene.repos = repos(&[(ALICE, Some(ONE))]);
    scene.up(&host(ONE));
    let one = host(ONE);
    // A small host's traffic is fine for ever.
    for _ in 0..1_000 {
        scene.pass(Duration::from_secs(1));
        assert!(!scene.lines.heard_of_strangers(&one, 20_000, scene.now));
    }
    let mut seconds = 0;
    while !scene.lines.heard_of_strangers(&one, 300_000, scene.now) {
        scene.pass(Duration::from_secs(1));
        seconds += 1;
    }
    assert!((3..30).contains(&seconds), "{seconds}");
    scene.lines.down(&one, scene.now);
    scene.expect(&[], None);
    let at = scene.decide().again_at.expect("it gets another chance");
    assert_eq!(at.saturating_since(scene.now), LOUD_FOR);
    scene.pass(LOUD_FOR);
    scene.expect(&[one], None);
}

#[test]
fn a_jetstream_that_is_deaf_to_a_repo_gets_that_repos_host_beside_it() {
    let mut scene = Scene::new(1);
    scene.up(&JETSTREAM);
    scene.found(ALICE, 1);
    scene.found(BOB, 1);
    scene.pass(Duration::from_secs(60));
    // A poll finds something of Bob's, and the Jetstream, which does tell of Alice, never mentions it.
    scene.found(BOB, 2);
    scene.expect(&[JETSTREAM], Some(DoorbellKind::Jetstream));
    scene.pass(GRACE / 2);
    scene.tells(&JETSTREAM, ALICE, 5);
    let at = scene.decide().again_at.expect("its time runs out");
    scene.pass(at.saturating_since(scene.now));
    scene.expect(&[JETSTREAM, host(TWO)], None);
    assert!(scene.decide().renew.is_empty(), "it is alive");
    scene.up(&host(TWO));
    scene.expect(&[JETSTREAM, host(TWO)], Some(DoorbellKind::Jetstream));
    // It was only late, after all.
    scene.pass(Duration::from_secs(60));
    scene.tells(&JETSTREAM, BOB, 2);
    scene.expect(&[JETSTREAM], Some(DoorbellKind::Jetstream));
}

#[test]
fn one_that_says_nothing_at_all_while_there_is_news_is_dead() {
    let mut scene = Scene::new(2);
    scene.up(&JETSTREAM);
    scene.found(ALICE, 1);
    scene.pass(Duration::from_secs(60));
    scene.found(ALICE, 2);
    scene.pass(GRACE);
    let decision = scene.decide();
    assert_eq!(decision.renew, BTreeSet::from([JETSTREAM]));
    assert_eq!(decision.connected, None);
    // As a failure it makes room for the next.
    scene.lines.down(&JETSTREAM, scene.now);
    assert!(scene.decide().run.contains(&Source::Jetstream(1)));
}

#[test]
fn who_tells_in_time_or_beforehand_is_not_deaf() {
    let mut scene = Scene::new(1);
    scene.up(&JETSTREAM);
    scene.found(ALICE, 1);
    for n in 2..40 {
        scene.pass(Duration::from_secs(30));
        match n % 3 {
            0 => {
                scene.tells(&JETSTREAM, ALICE, n);
                scene.found(ALICE, n);
            }
            1 => {
                scene.found(ALICE, n);
                scene.pass(GRACE / 2);
                scene.tells(&JETSTREAM, ALICE, n);
            }
            // Found at a later commit that concerns nobody here: what it told of lies before it.
            _ => {
                scene.tells(&JETSTREAM, ALICE, n);
                scene.lines.found(
                    &did(ALICE),
                    &Tid::from_micros(rev(n).micros(), 5),
                    &scene.repos,
                    scene.now,
                );
            }
        }
        scene.pass(GRACE);
        scene.expect(&[JETSTREAM], Some(DoorbellKind::Jetstream));
    }
}

#[test]
fn what_happened_before_it_listened_is_not_held_against_it() {
    let mut scene = Scene::new(1);
    scene.found(ALICE, 1);
    scene.up(&JETSTREAM);
    scene.pass(Duration::from_secs(1));
    scene.found(ALICE, 2);
    scene.found(BOB, 1);
    scene.pass(Duration::from_secs(60));
    scene.expect(&[JETSTREAM], Some(DoorbellKind::Jetstream));
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    let mut scene = Scene::new(0);
    scene.repos = repos(&[(ALICE, Some(ONE))]);
    let one = host(ONE);
    scene.lines.heard_of_strangers(&one, 10_000_000, scene.now);
    let wait = scene.lines.down(&one, scene.now);
    scene.lines.wait_until(&one, scene.now.saturating_add(wait));
    scene.now = scene.now.saturating_sub(Duration::from_secs(5 * 3600));
    assert_eq!(scene.lines.not_before(&one, scene.now), None);
    scene.expect(&[one], None);
}
