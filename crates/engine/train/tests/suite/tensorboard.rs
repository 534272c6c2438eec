//! Event files read back by a reader of the published format that shares no code with the writer.

use proptest::prelude::*;
use std::fs;
use wootz_train::tensorboard::EventWriter;

/// One decoded event: wall time, step, file version, scalars.
#[derive(Debug, Default, PartialEq)]
struct Event {
    wall_seconds: f64,
    step: u64,
    version: String,
    scalars: Vec<(String, u32)>,
}

/// CRC-32C bit by bit, from its polynomial.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

fn take<'b>(bytes: &mut &'b [u8], n: usize) -> &'b [u8] {
    let (head, tail) = bytes.split_at(n);
    *bytes = tail;
    head
}

fn checked<'b>(bytes: &mut &'b [u8], n: usize) -> &'b [u8] {
    let data = take(bytes, n);
    let masked = u32::from_le_bytes(take(bytes, 4).try_into().unwrap());
    assert_eq!(masked.wrapping_sub(0xa282_ead8).rotate_left(15), crc32c(data));
    data
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Calls `field(number, payload)` for every field of a message.
fn fields(mut message: &[u8], mut field: impl FnMut(u64, &[u8])) {
    while !message.is_empty() {
        let key = varint(&mut message);
        let payload = match key & 7 {
            0 => varint(&mut message).to_le_bytes().to_vec(),
            1 => take(&mut message, 8).to_vec(),
            2 => {
                let n = varint(&mut message) as usize;
                take(&mut message, n).to_vec()
            }
            5 => take(&mut message, 4).to_vec(),
            wire => panic!("wire type {wire}"),
        };
        field(key >> 3, &payload);
    }
}

fn read(bytes: &[u8]) -> Vec<Event> {
    let mut rest = bytes;
    let mut events = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(checked(&mut rest, 8).try_into().unwrap());
        let mut event = Event::default();
        fields(checked(&mut rest, length as usize), |number, payload| match number {
            1 => event.wall_seconds = f64::from_le_bytes(payload.try_into().unwrap()),
            2 => event.step = u64::from_le_bytes(payload.try_into().unwrap()),
            3 => event.version = String::from_utf8(payload.to_vec()).unwrap(),
            5 => fields(payload, |number, value| {
                assert_eq!(number, 1);
                let mut scalar = (String::new(), 0);
                fields(value, |number, payload| match number {
                    1 => scalar.0 = String::from_utf8(payload.to_vec()).unwrap(),
                    2 => scalar.1 = u32::from_le_bytes(payload.try_into().unwrap()),
                    other => panic!("field {other} of a value"),
                });
                event.scalars.push(scalar);
            }),
            other => panic!("field {other} of an event"),
        });
        events.push(event);
    }
    events
}

#[test]
fn the_independent_crc_is_crc_32c() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn a_file_has_its_version_first_and_then_the_scalars() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("runs/a");
    let mut writer = EventWriter::create(&folder, 1_700_000_000, "host/1").unwrap();
    assert_eq!(writer.path(), folder.join("events.out.tfevents.1700000000.host_1"));
    writer.scalars(300, 1_700_000_001.5, &[("train/loss", 2.5), ("val/bpb", f64::NAN)]).unwrap();
    writer.flush().unwrap();

    let events = read(&fs::read(writer.path()).unwrap());
    let version = Event { wall_seconds: 1.7e9, version: "brain.Event:2".to_owned(), ..Event::default() };
    let scalars =
        vec![("train/loss".to_owned(), 2.5f32.to_bits()), ("val/bpb".to_owned(), f32::NAN.to_bits())];
    let step = Event { wall_seconds: 1_700_000_001.5, step: 300, scalars, ..Event::default() };
    assert_eq!(events, [version, step]);
}

#[test]
fn a_resumed_run_never_touches_an_older_file() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [(); 3].map(|()| EventWriter::create(dir.path(), 5, "h").unwrap().path().to_owned());
    let names: Vec<&str> = paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "events.out.tfevents.0000000005.h",
            "events.out.tfevents.0000000005.h.1",
            "events.out.tfevents.0000000005.h.2"
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn every_scalar_is_read_back(
        events in prop::collection::vec((any::<u64>(), any::<f64>(), prop::collection::vec((".{0,200}", any::<f32>()), 0..4)), 0..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(dir.path(), 1, "h").unwrap();
        for (step, wall, scalars) in &events {
            let scalars: Vec<(&str, f64)> = scalars.iter().map(|(tag, x)| (tag.as_str(), f64::from(*x))).collect();
            writer.scalars(*step, *wall, &scalars).unwrap();
        }
        writer.flush().unwrap();
        let expected: Vec<Event> = events
            .into_iter()
            .map(|(step, wall_seconds, scalars)| Event {
                wall_seconds,
                step,
                version: String::new(),
                scalars: scalars.into_iter().map(|(tag, x)| (tag, x.to_bits())).collect(),
            })
            .collect();
        prop_assert_eq!(&read(&fs::read(writer.path()).unwrap())[1..], &expected[..]);
    }
}
