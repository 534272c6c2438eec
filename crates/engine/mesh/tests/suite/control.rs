//! Control connections between threads that each hold their own end: what processes see, without the processes.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;
use wootz_mesh::{Channel, MeshError, Place, World};
use wootz_schema::Diagnose;

const PATIENCE: Duration = Duration::from_secs(20);

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn place(rank: usize, size: usize, port: u16) -> Place {
    Place { rank, size, local_rank: rank, host: "127.0.0.1".to_owned(), port }
}

/// What each of these places comes to, in a thread of its own.
fn each<T: Send>(
    places: Vec<Place>,
    patience: Duration,
    work: impl Fn(Result<World, MeshError>) -> T + Sync,
) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let start = |place: Place| scope.spawn(move || work(World::join(&place, patience)));
        let threads: Vec<_> = places.into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn job(size: usize) -> Vec<Place> {
    let port = free_port();
    (0..size).map(|rank| place(rank, size, port)).collect()
}

fn talk(world: &World) -> Result<(), MeshError> {
    for round in 0..20u8 {
        let parts = (0..world.size).map(|to| vec![round, world.rank as u8, to as u8]).collect();
        let received = world.all_to_all(Channel::Compute, parts)?;
        for (from, part) in received.iter().enumerate() {
            assert_eq!(part, &[round, from as u8, world.rank as u8]);
        }
    }
    let large = vec![world.rank as u8; 3 << 20];
    let all = world.gather(Channel::Compute, &large)?;
    assert!(all.iter().enumerate().all(|(rank, part)| *part == vec![rank as u8; 3 << 20]));
    Ok(())
}

#[test]
fn ranks_exchange_on_several_channels_at_once() {
    let outcomes = each(job(4), PATIENCE, |world| {
        let world = world?;
        let other = world.clone();
        let beside = std::thread::spawn(move || {
            (0..50u64).try_for_each(|i| {
                let all = other.gather_messages(Channel::Checkpoint, &(i, other.rank))?;
                assert!(all.iter().enumerate().all(|(rank, message)| *message == (i, rank)));
                Ok::<(), MeshError>(())
            })
        });
        talk(&world)?;
        beside.join().unwrap()?;
        assert_eq!(world.from_leader(Channel::Loop, vec![world.rank as u8 + 5])?, [5]);
        assert!(world.any(world.rank == 3)? && !world.any(false)?);
        world.agree("colour", "blue")?;
        world.leave()
    });
    assert_eq!(outcomes, vec![Ok(()); 4]);
}

#[test]
fn a_rank_that_vanishes_is_named_by_all_others() {
    for gone in [2, 0] {
        // One that has heard must not leave before the other has, or it would be the one that is gone.
        let both = std::sync::Barrier::new(2);
        let messages = each(job(3), PATIENCE, |world| {
            let world = world.unwrap();
            let (tell, told) = mpsc::channel();
            world.on_failure(Box::new(move |failure| tell.send(failure.rank).unwrap()));
            let first = world.any(false);
            if world.rank == gone {
                drop(world);
                return None;
            }
            // What goes through rank 0 may be lost with it.
            let error = first.and_then(|_| world.any(false)).unwrap_err();
            let heard = told.recv_timeout(PATIENCE);
            both.wait();
            assert_eq!(heard, Ok(gone), "the hook runs");
            assert_eq!(error.exit() as u8, 1);
            Some(error.to_string())
        });
        let expected = format!("go on: rank {gone} ended: its process is gone");
        for (rank, message) in messages.into_iter().enumerate().filter(|(rank, _)| *rank != gone) {
            assert_eq!(message.as_deref(), Some(expected.as_str()), "rank {rank}");
        }
    }
}

#[test]
fn a_rank_that_fails_gives_its_reason_to_all() {
    let own = MeshError::Split { ranks: 9, reason: "a test".to_owned() };
    let errors = each(job(3), PATIENCE, |world| {
        let world = world.unwrap();
        if world.rank == 1 {
            world.fail(&own);
            assert_eq!(world.failure(), None, "its own failure is not another's");
            // The others are told before the connection closes.
            std::thread::sleep(Duration::from_millis(50));
            return own.clone();
        }
        world.any(false).unwrap_err()
    });
    for error in [&errors[0], &errors[2]] {
        assert_eq!(error.to_string(), "go on: rank 1 ended: split the update over 9 ranks: a test");
        assert_eq!((error.exit(), error.hint()), (own.exit(), own.hint()));
    }
}

#[test]
fn ranks_that_do_not_fit_are_named() {
    let errors = |places: Vec<Place>| {
        let errors = each(places, PATIENCE, |world| world.map(drop).unwrap_err());
        assert!(errors.iter().all(|error| error.exit() as u8 == 3 && error.hint().is_some()));
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let port = free_port();
    let sizes = errors(vec![place(0, 2, port), place(1, 3, port)]);
    assert_eq!(sizes, vec!["start: rank 1 has another number of ranks than the others: 3, not 2"; 2]);
    let twice = errors(vec![place(0, 3, port), place(1, 3, port), place(1, 3, port)]);
    let text = "start: rank 1 has another rank number than the others: one that is taken, not one of its own";
    assert_eq!(twice, vec![text; 3]);

    let disagree = each(job(3), PATIENCE, |world| {
        let world = world.unwrap();
        let error = world.agree("program", if world.rank == 1 { "b" } else { "a" }).unwrap_err();
        let _ = world.leave();
        error.to_string()
    });
    assert_eq!(disagree, vec!["start: rank 1 has another program than the others: b, not a"; 3]);
}

#[test]
fn who_does_not_come_is_named_within_the_patience() {
    let short = Duration::from_millis(300);
    let port = free_port();
    let error = World::join(&place(0, 3, port), short).map(drop).unwrap_err();
    assert!(matches!(&error, MeshError::Missing { ranks, .. } if *ranks == [1, 2]), "{error}");
    assert!(error.to_string().starts_with("start: ranks 1, 2 did not come to 127.0.0.1:"), "{error}");
    let error = World::join(&place(1, 3, port), short).map(drop).unwrap_err();
    assert!(matches!(error, MeshError::Unreachable { .. }), "{error}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = World::join(&place(0, 2, port), short).map(drop).unwrap_err();
    assert!(matches!(error, MeshError::Listen { .. }), "{error}");
}

#[test]
fn a_stranger_at_the_port_is_passed_over() {
    let places = job(2);
    let port = places[0].port;
    let outcomes = std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..100 {
                if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
                    // The answer to nonsense is a closed connection, which may come before all of it is sent.
                    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        each(places, PATIENCE, |world| {
            let world = world?;
            talk(&world)?;
            world.leave()
        })
    });
    assert_eq!(outcomes, vec![Ok(()); 2]);
}
