//! Times the parts of `ready` and `create` on a store: `cargo run --release --example speed -- FOLDER`.
use std::time::Instant;
use wootz_tracker::{Store, actions, ready};
fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    for _ in 0..4 {
        let store = Store::find(std::path::Path::new(&folder)).expect("a store");
        let t = Instant::now();
        let issues = store.read().expect("issues");
        let t1 = t.elapsed();
        let views = issues.views().expect("views");
        let t2 = t.elapsed();
        let now = jiff::Timestamp::now();
        let ready = ready::Ready::new(&views, ready::Rules::Ba, now);
        let all = ready.all(None);
        let t3 = t.elapsed();
        let n = all.len();
        drop(all);
        drop(views);
        drop(issues);
        let t4 = t.elapsed();
        let c = Instant::now();
        let config = store.config().expect("config");
        let draft = actions::Draft { title: "a new one", description: "", kind: "task", priority: 2 };
        store.change(|issues| actions::create(issues, &config, &draft, now)).expect("made");
        println!("read {t1:?} views {t2:?} ready {t3:?} ({n}) dropped {t4:?}; create {:?}", c.elapsed());
    }
}
