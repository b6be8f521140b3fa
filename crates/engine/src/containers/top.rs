//! `top`: a container's processes, in the words of the host's `ps(1)`.

use super::ContainerId;
use super::errors::ControlError;
use super::requests::ProcessTable;

/// What `ps` is asked unless somebody says otherwise.
const DEFAULT_ARGUMENTS: &str = "-ef";

/// The rows of `ps`'s output that are about `pids`.
pub(super) async fn table(
    id: &ContainerId,
    pids: &[i32],
    arguments: &str,
) -> Result<ProcessTable, ControlError> {
    let arguments = if arguments.is_empty() { DEFAULT_ARGUMENTS } else { arguments };
    let failed = |source| ControlError::Processes { id: id.to_string(), source };
    let output = tokio::process::Command::new("ps")
        .args(arguments.split_ascii_whitespace())
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(failed)?;
    if !output.status.success() {
        // The rest is how to use `ps`.
        let words = String::from_utf8_lossy(&output.stderr);
        let reason = words.lines().next().unwrap_or_default().trim();
        return Err(ControlError::ProcessTable { reason: format!("ps: {reason}") });
    }
    select(&String::from_utf8_lossy(&output.stdout), pids).ok_or_else(|| {
        ControlError::ProcessTable { reason: "Couldn't find PID field in ps output".to_owned() }
    })
}

/// Cuts `ps`'s table; the last column takes what is left of a line. `None` without a column
/// of pids.
fn select(output: &str, pids: &[i32]) -> Option<ProcessTable> {
    let mut lines = output.lines();
    let titles: Vec<String> = lines.next()?.split_ascii_whitespace().map(str::to_owned).collect();
    let pid_column = titles.iter().position(|title| title == "PID")?;
    let rows = lines
        .map(|line| cells(line, titles.len()))
        .filter(|cells| {
            let pid = cells.get(pid_column).and_then(|cell| cell.parse::<i32>().ok());
            pid.is_some_and(|pid| pids.contains(&pid))
        })
        .collect();
    Some(ProcessTable { titles, rows })
}

fn cells(line: &str, columns: usize) -> Vec<String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    if words.len() <= columns {
        return words.into_iter().map(str::to_owned).collect();
    }
    let (first, rest) = words.split_at(columns - 1);
    first.iter().map(|word| (*word).to_owned()).chain([rest.join(" ")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_processes_are_kept_and_commands_stay_whole() {
        let output = "UID PID PPID CMD\nroot 1 0 init\nroot 42 1 sleep 10 20\n";
        let table = select(output, &[42]).unwrap();
        assert_eq!(table.titles, ["UID", "PID", "PPID", "CMD"]);
        assert_eq!(table.rows, [["root", "42", "1", "sleep 10 20"]]);
    }

    #[test]
    fn a_table_without_pids_is_of_no_use() {
        assert!(select("USER CMD\nroot init\n", &[1]).is_none());
    }
}
