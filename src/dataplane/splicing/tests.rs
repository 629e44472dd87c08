use super::*;
use crate::dataplane::reactor::{TcpStream, run, sleep};
use std::{
    future::poll_fn,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream as Far},
    time::Duration,
};

/// Ours, and the other end.
fn pair() -> (TcpStream, Far) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = Far::connect(listener.local_addr().unwrap()).unwrap();
    let near = listener.accept().unwrap().0;
    near.set_nonblocking(true).unwrap();
    (TcpStream::new(near), far)
}

fn bulk() -> Splicing {
    let mut splicing = Splicing::default();
    (0..RUN).for_each(|_| splicing.has_copied(MUCH));
    splicing
}

/// Polls once, when the reactor has seen what has happened: what came of it, and what was moved.
async fn once(splicing: &mut Splicing, from: &TcpStream, to: &TcpStream) -> (Option<Poll<io::Result<()>>>, u64) {
    sleep(Duration::from_millis(1)).await;
    let mut moved = 0;
    let result = poll_fn(|cx| Poll::Ready(splicing.poll(cx, (from, to), &mut moved))).await;
    (result, moved)
}

/// Pipes that there are, and those of them that nobody needs.
fn pipes() -> (usize, usize) {
    (COUNT.get(), EMPTY.with_borrow(Vec::len))
}

#[test]
fn what_is_bulk_is_spliced_until_little_comes() {
    let ((from, mut source), (to, mut sink)) = (pair(), pair());
    run(async {
        let mut splicing = Splicing::default();
        for count in [MUCH, MUCH, MUCH, MUCH - 1, MUCH, MUCH, MUCH] {
            splicing.has_copied(count);
            assert!(once(&mut splicing, &from, &to).await.0.is_none(), "not that much in a row");
        }
        splicing.has_copied(MUCH);
        source.write_all(&[7; 100_000]).unwrap();
        let mut moved = 0;
        while moved < 100_000 {
            let (result, more) = once(&mut splicing, &from, &to).await;
            assert!(matches!(result, Some(Poll::Pending)), "{result:?}");
            moved += more;
        }
        assert_eq!((moved, pipes()), (100_000, (1, 1)), "nothing is in it, so it is not kept");
        let mut got = vec![0; 100_000];
        sink.read_exact(&mut got).unwrap();
        assert!(got.iter().all(|byte| *byte == 7));
        source.write_all(b"little").unwrap();
        let (result, moved) = once(&mut splicing, &from, &to).await;
        assert!(result.is_none() && moved == 6, "it has passed, and the next is copied: {result:?} {moved}");
        source.write_all(b"x").unwrap();
        let (result, moved) = once(&mut splicing, &from, &to).await;
        assert!(result.is_none() && moved == 0);
    });
}

#[test]
fn the_end_of_bulk_is_told_when_all_has_gone() {
    let ((from, mut source), (to, mut sink)) = (pair(), pair());
    run(async {
        source.write_all(&[1; 50_000]).unwrap();
        source.shutdown(Shutdown::Write).unwrap();
        let (mut splicing, mut moved) = (bulk(), 0);
        loop {
            let (result, more) = once(&mut splicing, &from, &to).await;
            moved += more;
            match result {
                Some(Poll::Ready(result)) => break result.unwrap(),
                Some(Poll::Pending) => {}
                None => return assert_eq!(moved, 50_000, "the last piece was little"),
            }
        }
        assert_eq!(moved, 50_000);
    });
    drop(to);
    assert_eq!(sink.read_to_end(&mut Vec::new()).unwrap(), 50_000);
}

#[test]
fn who_takes_nothing_holds_one_pipe_which_goes_with_what_is_in_it() {
    let ((from, mut source), (to, _sink)) = (pair(), pair());
    source.set_nonblocking(true).unwrap();
    run(async {
        let (mut splicing, mut still) = (bulk(), 0);
        while still < 50 {
            while source.write(&[1; 100_000]).is_ok() {}
            let (_, moved) = once(&mut splicing, &from, &to).await;
            still = if moved == 0 { still + 1 } else { 0 };
        }
        assert_eq!(pipes(), (1, 0));
        drop(splicing);
        assert_eq!(pipes(), (0, 0), "nobody else gets these bytes");
    });
}

#[test]
fn without_a_pipe_it_is_copied() {
    let ((from, mut source), (to, _sink)) = (pair(), pair());
    source.write_all(&[1; 50_000]).unwrap();
    run(async {
        limit(CONNECTIONS_PER_PIPE - 1);
        let mut splicing = bulk();
        let (result, moved) = once(&mut splicing, &from, &to).await;
        assert!(result.is_none() && moved == 0);
        let mut first = [0];
        assert_eq!(from.try_read(&mut first).unwrap(), 1, "it is all there still");
        limit(CONNECTIONS_PER_PIPE);
        let (result, _) = once(&mut splicing, &from, &to).await;
        assert!(result.is_none(), "it has to show itself to be bulk again");
    });
}

#[test]
fn a_few_empty_pipes_are_kept() {
    run(async {
        let many: Vec<_> = (0..SPARE + 5).map(|_| Borrowed::take().unwrap()).collect();
        assert_eq!(pipes(), (SPARE + 5, 0));
        drop(many);
        assert_eq!(pipes(), (SPARE, SPARE));
    });
}
