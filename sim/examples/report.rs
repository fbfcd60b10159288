//! Writes a report of a download through a bad link: `cargo run --release -p tidemill-sim --example report -- FOLDER URL`.

use std::path::Path;

use tidemill_core::fetch::Options;
use tidemill_core::time::Duration;
use tidemill_sim::fault::{Menu, draw};
use tidemill_sim::mill::{Mill, Scenario};
use tidemill_sim::plan::Plan;
use tidemill_sim::report;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().unwrap_or_else(|| "report".into());
    let url = args.next().unwrap_or_else(|| "sim://mill/512KiB?rtt=40ms&loss=1%&rate=50mbps&seed=7".into());
    let scenario: Scenario = url.parse()?;
    let mut mill = Mill::<144>::new(&scenario);
    let ends = (mill.server(), mill.client());
    let menu = Menu { horizon: Duration::from_secs(2), hosts: vec![ends.0], links: vec![ends] };
    let plan = Plan { seed: scenario.seed, faults: draw(scenario.seed, &menu) };
    mill.world_mut().trace_mut().capture(0..u64::MAX);
    for &fault in &plan.faults {
        mill.world_mut().schedule(fault)?;
    }
    let end = mill.download(&scenario, 4, Options::default())?;
    report::write(mill.world(), &plan, &format!("nothing failed: {:?}", end.outcome), Path::new(&folder))?;
    println!("{folder}: {} events", mill.world().trace().events());
    Ok(())
}
