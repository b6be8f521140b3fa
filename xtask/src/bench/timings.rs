//! How long the engines' commands take.

use std::time::Instant;

use anyhow::{Context as _, Result};

use super::BenchArguments;
use super::contender::{Contender, Contenders};
use super::floor::Floor;
use super::table::{Measurement, OURS, Samples, Table};

/// How many containers are started and removed at once.
const AT_ONCE: usize = 50;

/// Bytes of the big image's layer, before it is packed.
const BIG_IMAGE: usize = 200_000_000;

pub(crate) fn measure(
    arguments: &BenchArguments,
    contenders: &Contenders,
    floor: &Floor,
    table: &mut Table,
) -> Result<()> {
    let round = Rounds { arguments, contenders, table };
    round.measure_all(floor)
}

/// What every measurement needs.
#[derive(Debug)]
struct Rounds<'a> {
    arguments: &'a BenchArguments,
    contenders: &'a Contenders,
    table: &'a mut Table,
}

impl Rounds<'_> {
    fn measure_all(mut self, floor: &Floor) -> Result<()> {
        self.starts("run --rm --network none IMAGE true", floor, &[])?;
        self.starts("run --rm IMAGE true", floor, &["--network"])?;
        self.execs()?;
        self.stops()?;
        self.many()?;
        self.lists()?;
        self.loads()
    }

    fn starts(&mut self, line: &str, floor: &Floor, flags: &[&str]) -> Result<()> {
        let name = format!("`{}`", line.replace("IMAGE", "busybox"));
        if !self.arguments.wants(&name) {
            return Ok(());
        }
        let mut raw = Samples::new("raw floor");
        let mut samples = self.samples();
        // The first round is not counted: caches are cold then.
        for round in 0..=self.arguments.rounds {
            let value = floor.measure(flags)?;
            raw.values.extend((round > 0).then_some(value));
            for (contender, samples) in self.contenders.all.iter().zip(&mut samples) {
                samples.take_turn(|| contender.time(line), round > 0)?;
            }
        }
        samples.insert(0, raw);
        self.table.add(Measurement { name, unit: "ms", samples });
        Ok(())
    }

    fn execs(&mut self) -> Result<()> {
        self.each(
            "`exec` of `true`",
            self.arguments.rounds,
            |contender| contender.time("exec PREFIX-target true"),
            Some("run --detach --name PREFIX-target IMAGE sleep 1000"),
        )
    }

    /// A process that ends at the first signal: what is measured is the engine's part.
    fn stops(&mut self) -> Result<()> {
        self.each(
            "`stop` of what ends at once",
            self.arguments.rounds,
            |contender| {
                let line = "run --detach --name PREFIX-stop --stop-signal KILL IMAGE sleep 1000";
                contender.run(line)?;
                let value = contender.time("stop PREFIX-stop")?;
                contender.run("rm PREFIX-stop")?;
                Ok(value)
            },
            None,
        )
    }

    fn many(&mut self) -> Result<()> {
        let name = format!("{AT_ONCE} `run --detach` at once");
        let removal = format!("`rm --force` of {AT_ONCE}");
        if !self.arguments.wants(&name) && !self.arguments.wants(&removal) {
            return Ok(());
        }
        let names: Vec<_> = (0..AT_ONCE).map(|n| format!("PREFIX-{n}")).collect();
        let line = |name| format!("run --detach --name {name} IMAGE sleep 1000");
        let runs: Vec<_> = names.iter().map(line).collect();
        let mut starts = self.samples();
        let mut removals = self.samples();
        for _ in 0..self.arguments.few_rounds() {
            for (n, contender) in self.contenders.all.iter().enumerate() {
                starts[n].take_turn(|| contender.time_at_once(&runs), true)?;
                let removal = format!("rm --force {}", names.join(" "));
                removals[n].take_turn(|| contender.time(&removal), true)?;
            }
        }
        self.table.add(Measurement { name, unit: "ms", samples: starts });
        self.table.add(Measurement { name: removal, unit: "ms", samples: removals });
        Ok(())
    }

    fn lists(&mut self) -> Result<()> {
        let count = self.arguments.containers;
        let name = format!("`ps --all` of {count} containers");
        if !self.arguments.wants(&name) {
            return Ok(());
        }
        for contender in &self.contenders.all {
            for n in 0..count {
                contender.run(&format!("create --name PREFIX-{n} IMAGE true"))?;
            }
        }
        let result =
            self.each(&name, self.arguments.rounds, |contender| contender.time("ps --all"), None);
        for contender in &self.contenders.all {
            contender.clear()?;
        }
        result
    }

    fn loads(&mut self) -> Result<()> {
        let name = "`load` of a 200 MB image";
        if !self.arguments.wants(name) {
            return Ok(());
        }
        let folder = tempfile::tempdir_in("/tmp")?;
        let file = folder.path().join("image.tar");
        let layer = big_layer();
        let packed = stories::gzip(&layer.tar());
        let image = stories::ImageArchive::new("wharf-bench-big:1", serde_json::json!({}));
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        let archive = image.layer(&layer).docker_layout(media_type, |_| packed.clone());
        std::fs::write(&file, archive)?;

        let mut unpacking = Samples::new("gunzip alone");
        let mut samples = self.samples();
        for _ in 0..self.arguments.few_rounds() {
            unpacking.values.push(unpack(&packed)?);
            for (contender, samples) in self.contenders.all.iter().zip(&mut samples) {
                let line = format!("load --input {}", file.display());
                samples.take_turn(|| contender.time(&line), true)?;
                samples.take_turn(|| contender.time("rmi --force wharf-bench-big:1"), false)?;
            }
        }
        samples.insert(0, unpacking);
        self.table.add(Measurement { name: name.to_owned(), unit: "ms", samples });
        Ok(())
    }

    /// Measures the same of everybody in turn, with a container that `setup` makes.
    fn each(
        &mut self,
        name: &str,
        rounds: usize,
        measure: impl Fn(&Contender) -> Result<f64>,
        setup: Option<&str>,
    ) -> Result<()> {
        if !self.arguments.wants(name) {
            return Ok(());
        }
        let all = &self.contenders.all;
        if let Some(line) = setup {
            all.iter().try_for_each(|contender| contender.run(line).map(drop))?;
        }
        let mut samples = self.samples();
        for _ in 0..rounds {
            for (contender, samples) in all.iter().zip(&mut samples) {
                samples.take_turn(|| measure(contender), true).context(name.to_owned())?;
            }
        }
        if setup.is_some() {
            all.iter().try_for_each(Contender::clear)?;
        }
        self.table.add(Measurement { name: name.to_owned(), unit: "ms", samples });
        Ok(())
    }

    fn samples(&self) -> Vec<Samples> {
        debug_assert_eq!(self.contenders.all[0].name, OURS);
        self.contenders.all.iter().map(|contender| Samples::new(contender.name)).collect()
    }
}

/// Milliseconds that unpacking alone takes, with the same library as Wharf's.
fn unpack(packed: &[u8]) -> Result<f64> {
    let start = Instant::now();
    std::io::copy(&mut flate2::read::GzDecoder::new(packed), &mut std::io::sink())?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// A layer of many files whose content packs as well as programs do, to about two fifths.
fn big_layer() -> stories::FileSystem {
    const FILE: usize = 1_000_000;
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut layer = stories::FileSystem::empty();
    for n in 0..BIG_IMAGE / FILE {
        let mut content = Vec::with_capacity(FILE);
        while content.len() < FILE {
            // xorshift64: nothing that packs, followed by something that does.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend_from_slice(&state.to_le_bytes());
            content.extend_from_slice(b"mov eax, edi");
        }
        layer = layer.with(stories::Entry::file(&format!("file{n}"), content));
    }
    layer
}
