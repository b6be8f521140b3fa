//! Columns of text, aligned as Go's `tabwriter` aligns them.

use super::ellipsis::width;

/// How wide columns are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    pub(crate) width_min: usize,
    /// Spaces behind the widest cell.
    pub(crate) padding: usize,
}

/// The columns of lists.
pub(crate) const LIST: Columns = Columns { width_min: 10, padding: 3 };

impl Columns {
    /// Aligns the cells of `text`, which end in tabs, below each other.
    ///
    /// A column reaches as far as lines follow each other that have it; what is behind
    /// the last tab of a line is in no column.
    pub(crate) fn align(self, text: &str) -> String {
        let lines: Vec<Vec<&str>> =
            text.split_inclusive('\n').map(|line| line.split('\t').collect()).collect();
        let mut aligned = String::with_capacity(text.len() * 2);
        self.block(&lines, &mut Vec::new(), &mut aligned);
        aligned
    }

    fn block(self, lines: &[Vec<&str>], widths: &mut Vec<usize>, aligned: &mut String) {
        let column = widths.len();
        let has_cell = |line: &Vec<&str>| column + 1 < line.len();
        let mut rest = lines;
        while let Some(start) = rest.iter().position(has_cell) {
            let (before, block) = rest.split_at(start);
            before.iter().for_each(|line| write_line(line, widths, aligned));
            let length = block.iter().position(|line| !has_cell(line)).unwrap_or(block.len());
            let (block, after) = block.split_at(length);
            let widest = block.iter().map(|line| width(line[column]) + self.padding).max();
            widths.push(widest.unwrap_or_default().max(self.width_min));
            self.block(block, widths, aligned);
            widths.pop();
            rest = after;
        }
        rest.iter().for_each(|line| write_line(line, widths, aligned));
    }
}

fn write_line(cells: &[&str], widths: &[usize], aligned: &mut String) {
    for (index, cell) in cells.iter().enumerate() {
        aligned.push_str(cell);
        if index + 1 == cells.len() {
            break;
        }
        if let Some(wanted) = widths.get(index) {
            let missing = wanted.saturating_sub(width(cell));
            aligned.extend(std::iter::repeat_n(' ', missing));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::LIST;

    #[test]
    fn columns_fit_their_widest_cell() {
        let text = "NAME\tIMAGE\tSTATUS\na\tbusybox:latest-and-longer\tUp\n\tx\tExited\n";
        expect![[r#"
            NAME      IMAGE                       STATUS
            a         busybox:latest-and-longer   Up
                      x                           Exited
        "#]]
        .assert_eq(&LIST.align(text));
    }

    #[test]
    fn a_line_without_the_column_ends_it() {
        let text = "a long cell of text\tx\nno cells\nb\ty\n";
        expect![[r#"
            a long cell of text   x
            no cells
            b         y
        "#]]
        .assert_eq(&LIST.align(text));
    }
}
