//! The real program on days when servers fail: nothing that was written is lost, and scripts can tell.

mod person;

use sheaf_devnet::{Network, fault_proxy::Fault};

use crate::person::Person;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_waits_and_goes_out_later() {
    let network = Network::builder().fault_proxies(true).start().await.unwrap();
    let alice_account = network.create_account("alice.test").await.unwrap();
    let bob_account = network.create_account("bob.test").await.unwrap();
    let alice = Person::signed_in(&network, &alice_account);
    let bob = Person::signed_in(&network, &bob_account);
    let nobody = Person::nobody(&network);
    let uri = alice.says(&["new", "Bad days"], "");
    let uri = uri.trim();
    alice.says(&["share", uri, "bob.test"], "");

    // A server that fails: the text waits here. Reading, later, sends it.
    let proxy = network.pds(0).proxy();
    proxy.fail_always("com.atproto.repo.putRecord", Fault::server_error());
    let waits = bob.runs(&["append", "--wait", "3", uri], "Written meanwhile.\n");
    assert_eq!(waits.status.code(), Some(6), "{waits:?}");
    assert!(
        String::from_utf8_lossy(&waits.stderr).contains("saved on this device; 1 change is waiting"),
        "{waits:?}"
    );
    assert_eq!(nobody.says(&["cat", uri], ""), "");
    proxy.heal();
    assert_eq!(bob.says(&["cat", uri], ""), "Written meanwhile.\n");
    assert_eq!(nobody.says(&["cat", uri], ""), "Written meanwhile.\n");

    // A failure that passes within the wait is none, nor is a reply that gets lost.
    proxy.fail_next(1, "com.atproto.repo.putRecord", Fault::server_error());
    bob.says(&["append", uri], "After a failure.\n");
    proxy.fail_next(1, "com.atproto.repo.putRecord", Fault::LoseReply);
    bob.says(&["append", uri], "After a lost reply.\n");
    let text = "Written meanwhile.\nAfter a failure.\nAfter a lost reply.\n";
    assert_eq!(nobody.says(&["cat", uri], ""), text);

    // No server at all: the device's copy, and the code that says so.
    network.pds(0).stop().await.unwrap();
    let old = nobody.runs(&["cat", uri], "");
    assert_eq!((old.status.code(), String::from_utf8(old.stdout).unwrap()), (Some(6), text.to_owned()));
    Person::nobody(&network).fails(&["cat", uri], 6);
    network.pds(0).start().await.unwrap();

    // A session that is over: what is written is kept, and goes out after signing in again.
    let session = bob.folder.path().join("session.json");
    let mut broken: serde_json::Value = serde_json::from_slice(&std::fs::read(&session).unwrap()).unwrap();
    for token in ["access", "refresh"] {
        broken["tokens"][token] = "no token of this server".into();
    }
    std::fs::write(&session, broken.to_string()).unwrap();
    let said = bob.fails(&["append", uri], 3);
    assert!(said.contains("sheaf login") && !said.contains("no token"), "{said}");
    assert!(bob.signs_in("bob.test", &bob_account.password).status.success());
    bob.says(&["append", uri], ", more");
    assert_eq!(nobody.says(&["cat", uri], ""), format!("{text}text, more"));

    // A repo that goes away.
    alice_account.sign_in().await.unwrap().deactivate().await.unwrap();
    Person::nobody(&network).fails(&["cat", uri], 4);
    network.stop().await.unwrap();
}
