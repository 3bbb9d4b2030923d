/* SPDX-License-Identifier: MPL-2.0 */

/* Diagnostics as text: a header, the excerpt in a box with the places underlined, and the help. All
 * of it, the user's own text too, goes through put_char(). */
#include "vmfile/diagnostic.h"

#include <string.h>

#define TAB_COLUMNS 4
/* A line of the source that is wider is cut to this, with so much of it kept left of the place. */
#define MAX_COLUMNS 100
#define LEFT_COLUMNS 40

#define RED "\033[1;31m"
#define BLUE "\033[1;34m"
#define CYAN "\033[36m"
#define DIM "\033[2m"

/* The glyphs of the two ways to draw. */
typedef struct {
  const char *cross, *corner, *bar, *dot, *gap, *foot, *more;
  const char *first, *line, *joint, *stem, *hook;
} Pen;

static const Pen unicode_pen = {
  "×", "╭─", "│", "·", "⋮", "╰────", "…", "─", "─", "┬", "│", "╰── ",
};
static const Pen ascii_pen = {
  "x", ",-", "|", ":", ":", "`----", "...", "^", "~", "^", "|", "`-- ",
};

/* A label on one line of the source, in columns from the line's start. */
typedef struct {
  const VmLabel *label;
  gboolean is_primary;
  guint line;
  guint start, width;
} Mark;

/* The part of a line that is shown: columns `from` to `to`, drawn behind `lead` columns of dots. */
typedef struct {
  guint from, to, lead;
} Window;

typedef struct {
  const VmDiagnostics *all;
  const char *source;
  gsize size;
  VmRenderFlags flags;
  const Pen *pen;
  guint gutter; /* columns of the line numbers */
  GString *out;
} Renderer;

/* ---- characters ---- */

static gboolean
is_hidden (gunichar c)
{
  switch (g_unichar_type (c)) {
  case G_UNICODE_CONTROL:
  case G_UNICODE_FORMAT: /* among them what turns the direction of writing */
  case G_UNICODE_LINE_SEPARATOR:
  case G_UNICODE_PARAGRAPH_SEPARATOR:
  case G_UNICODE_SURROGATE:
    return TRUE;
  default:
    return FALSE;
  }
}

static guint
put_ascii (GString *out, const char *text)
{
  g_string_append (out, text);
  return (guint) strlen (text);
}

/* Appends one character as it may be shown; returns how many columns it takes. */
static guint
put_char (GString *out, gunichar c, VmRenderFlags flags)
{
  char escaped[16];
  g_snprintf (escaped, sizeof escaped, "\\u{%X}", c);
  if (c == '\t') {
    g_string_append_printf (out, "%*s", TAB_COLUMNS, "");
    return TAB_COLUMNS;
  }
  if (is_hidden (c))
    return put_ascii (out, escaped);
  if (c >= 0x80 && !(flags & VM_RENDER_UNICODE))
    return put_ascii (out, c == 0x2026 ? "..." : c == 0x2192 ? "->" : escaped);
  g_string_append_unichar (out, c);
  return g_unichar_iszerowidth (c) ? 0 : g_unichar_iswide (c) ? 2 : 1;
}

/* The character at @at, which is before @end, as put_char() shows it; a byte that is not UTF-8 as
 * \x{E9}. *@out_next is where the next one begins. */
static guint
put_next (GString *out, const char *at, const char *end, VmRenderFlags flags, const char **out_next)
{
  gunichar c = g_utf8_get_char_validated (at, end - at);
  if (c == (gunichar) -1 || c == (gunichar) -2) {
    char escaped[16];
    g_snprintf (escaped, sizeof escaped, "\\x{%02X}", (guint) (guchar) *at);
    *out_next = at + 1;
    return put_ascii (out, escaped);
  }
  *out_next = g_utf8_next_char (at);
  return put_char (out, c, flags);
}

static void
put_text (Renderer *self, const char *text)
{
  const char *end = text + strlen (text);
  while (text < end)
    put_next (self->out, text, end, self->flags, &text);
}

static guint
columns_of (const Renderer *self, const char *at, const char *end)
{
  g_autoptr (GString) scratch = g_string_new (NULL);
  guint columns = 0;
  while (at < end) {
    columns += put_next (scratch, at, end, self->flags, &at);
    g_string_truncate (scratch, 0);
  }
  return columns;
}

static void
put_colour (Renderer *self, const char *colour)
{
  if (self->flags & VM_RENDER_COLOUR)
    g_string_append (self->out, colour != NULL ? colour : "\033[0m");
}

static void
put_painted (Renderer *self, const char *colour, const char *text)
{
  put_colour (self, colour);
  g_string_append (self->out, text);
  put_colour (self, NULL);
}

static void
put_blanks (Renderer *self, guint n)
{
  g_string_append_printf (self->out, "%*s", (int) n, "");
}

static void
end_line (Renderer *self)
{
  while (self->out->len > 0 && self->out->str[self->out->len - 1] == ' ')
    g_string_truncate (self->out, self->out->len - 1);
  g_string_append_c (self->out, '\n');
}

/* ---- lines ---- */

/* Where the line behind @line begins; the source's size when @line is the last. */
static gsize
next_line (const Renderer *self, KdlSpan line)
{
  gsize end = (gsize) line.offset + line.length;
  if (end + 1 < self->size && self->source[end] == '\r' && self->source[end + 1] == '\n')
    end++;
  return MIN (end + 1, self->size);
}

/* Draws @line, cut to a window around column @focus. */
static Window
put_source (Renderer *self, KdlSpan line, guint focus)
{
  const char *at = self->source + line.offset;
  const char *end = at + line.length;
  Window window = { 0, G_MAXUINT, 0 };
  guint columns = columns_of (self, at, end);
  if (columns > MAX_COLUMNS) {
    window.from = MIN (focus > LEFT_COLUMNS ? focus - LEFT_COLUMNS : 0, columns - MAX_COLUMNS);
    window.to = window.from + MAX_COLUMNS;
  }

  guint column = 0;
  while (at < end && column < window.from) {
    gsize before = self->out->len;
    column += put_next (self->out, at, end, self->flags, &at);
    g_string_truncate (self->out, before);
  }
  if (window.from > 0) {
    window.from = column;
    const char *more = self->pen->more;
    window.lead = columns_of (self, more, more + strlen (more));
    g_string_append (self->out, self->pen->more);
  }
  while (at < end && column < window.to)
    column += put_next (self->out, at, end, self->flags, &at);
  if (at < end)
    g_string_append (self->out, self->pen->more);
  window.to = MAX (column, window.from + 1);
  return window;
}

static Window
put_line (Renderer *self, KdlSpan line, guint number, guint focus)
{
  put_colour (self, DIM);
  g_string_append_printf (self->out, " %*u %s", (int) self->gutter, number, self->pen->bar);
  put_colour (self, NULL);
  g_string_append_c (self->out, ' ');
  Window window = put_source (self, line, focus);
  end_line (self);
  return window;
}

static void
begin_margin (Renderer *self, const char *glyph)
{
  put_blanks (self, self->gutter + 2);
  put_painted (self, DIM, glyph);
  g_string_append_c (self->out, ' ');
}

/* ---- marks ---- */

static const char *
mark_colour (const Mark *mark)
{
  return mark->is_primary ? RED : BLUE;
}

/* The column under which the label's hook hangs. */
static guint
mark_anchor (const Renderer *self, const Mark *mark)
{
  gboolean at_start = !(self->flags & VM_RENDER_UNICODE);
  return at_start ? mark->start : mark->start + (mark->width - 1) / 2;
}

static void
put_underline (Renderer *self, const Mark *mark)
{
  guint anchor = mark_anchor (self, mark);
  put_colour (self, mark_colour (mark));
  for (guint i = mark->start; i < mark->start + mark->width; i++) {
    gboolean is_joint = mark->label->text != NULL && i == anchor;
    const char *plain = i == mark->start ? self->pen->first : self->pen->line;
    g_string_append (self->out, is_joint ? self->pen->joint : plain);
  }
  put_colour (self, NULL);
}

/* The row with the text of marks[index]: stems of those left of it, then its own hook. */
static void
put_label_row (Renderer *self, GPtrArray *marks, guint index)
{
  const Mark *mark = marks->pdata[index];
  guint column = 0;
  begin_margin (self, self->pen->dot);
  for (guint i = 0; i < index; i++) {
    const Mark *left = marks->pdata[i];
    if (left->label->text == NULL)
      continue;
    guint anchor = mark_anchor (self, left);
    put_blanks (self, anchor - column);
    put_painted (self, mark_colour (left), self->pen->stem);
    column = anchor + 1;
  }
  put_blanks (self, mark_anchor (self, mark) - column);
  put_colour (self, mark_colour (mark));
  g_string_append (self->out, self->pen->hook);
  put_text (self, mark->label->text);
  put_colour (self, NULL);
  end_line (self);
}

/* One row of underlines that do not touch, and their labels from right to left. */
static void
put_layer (Renderer *self, GPtrArray *marks)
{
  guint column = 0;
  begin_margin (self, self->pen->dot);
  for (guint i = 0; i < marks->len; i++) {
    const Mark *mark = marks->pdata[i];
    put_blanks (self, mark->start - column);
    put_underline (self, mark);
    column = mark->start + mark->width;
  }
  end_line (self);
  for (guint i = marks->len; i > 0; i--)
    if (((Mark *) marks->pdata[i - 1])->label->text != NULL)
      put_label_row (self, marks, i - 1);
}

/* Draws the @n marks of one line, sorted by column; those that overlap get layers of their own. */
static void
put_marks (Renderer *self, Mark *marks, guint n, Window window)
{
  g_autoptr (GPtrArray) pending = g_ptr_array_new ();
  for (guint i = 0; i < n; i++) {
    guint start = CLAMP (marks[i].start, window.from, window.to);
    guint end = CLAMP (marks[i].start + marks[i].width, start, window.to);
    marks[i].start = start - window.from + window.lead;
    marks[i].width = MAX (end - start, 1);
    g_ptr_array_add (pending, &marks[i]);
  }
  while (pending->len > 0) {
    g_autoptr (GPtrArray) layer = g_ptr_array_new ();
    guint free_from = 0;
    for (guint i = 0; i < pending->len;) {
      Mark *mark = pending->pdata[i];
      if (mark->start < free_from) {
        i++;
        continue;
      }
      free_from = mark->start + mark->width;
      g_ptr_array_add (layer, mark);
      g_ptr_array_remove_index (pending, i);
    }
    put_layer (self, layer);
  }
}

/* ---- the box ---- */

static int
compare_marks (gconstpointer a, gconstpointer b)
{
  const Mark *left = a;
  const Mark *right = b;
  guint32 x = left->label->span.offset;
  guint32 y = right->label->span.offset;
  return x != y ? (x > y) - (x < y) : right->is_primary - left->is_primary;
}

static void
add_mark (const Renderer *self, GArray *marks, const VmLabel *label, gboolean is_primary)
{
  KdlSpan line = kdl_document_line (self->all->doc, label->span.offset);
  gsize line_end = (gsize) line.offset + line.length;
  gsize start = CLAMP (label->span.offset, line.offset, line_end);
  gsize end = CLAMP ((gsize) label->span.offset + label->span.length, start, line_end);
  Mark mark = { label, is_primary };
  mark.line = kdl_document_position (self->all->doc, label->span.offset).line;
  mark.start = columns_of (self, self->source + line.offset, self->source + start);
  mark.width = MAX (1, columns_of (self, self->source + start, self->source + end));
  g_array_append_val (marks, mark);
}

static GArray *
collect_marks (const Renderer *self, const VmDiagnostic *fault)
{
  GArray *marks = g_array_new (FALSE, FALSE, sizeof (Mark));
  add_mark (self, marks, &fault->primary, TRUE);
  for (guint i = 0; i < fault->secondary->len; i++)
    add_mark (self, marks, &g_array_index (fault->secondary, VmLabel, i), FALSE);
  g_array_sort (marks, compare_marks);
  return marks;
}

/* Draws the context up to @mark's line, @shown being the last line drawn (0: none yet). */
static void
put_context_before (Renderer *self, const Mark *mark, guint shown)
{
  KdlSpan line = kdl_document_line (self->all->doc, mark->label->span.offset);
  guint from = mark->line > 1 ? mark->line - 1 : 1;
  /* A gap takes a row; so does the one line that it would hide. */
  if (shown > 0 && (from <= shown || from == shown + 2))
    from = shown + 1;
  else if (shown > 0 && from > shown + 1) {
    put_blanks (self, self->gutter + 2);
    put_painted (self, DIM, self->pen->gap);
    end_line (self);
  }
  g_autoptr (GArray) above = g_array_new (FALSE, FALSE, sizeof (KdlSpan));
  for (guint number = mark->line; number > from; number--) {
    line = kdl_document_line (self->all->doc, line.offset - 1);
    g_array_append_val (above, line);
  }
  for (guint i = above->len; i > 0; i--)
    put_line (self, g_array_index (above, KdlSpan, i - 1), mark->line - i, 0);
}

/* The marks of the line of marks[first], with that line and its context; returns the first mark of
 * a later line. *@shown is the last line drawn. */
static guint
put_marked_line (Renderer *self, GArray *marks, guint first, guint *shown)
{
  Mark *mark = &g_array_index (marks, Mark, first);
  KdlSpan line = kdl_document_line (self->all->doc, mark->label->span.offset);
  guint last = first;
  guint focus = mark->start;
  while (last < marks->len && g_array_index (marks, Mark, last).line == mark->line) {
    const Mark *other = &g_array_index (marks, Mark, last++);
    if (other->is_primary)
      focus = other->start;
  }
  put_context_before (self, mark, *shown);
  Window window = put_line (self, line, mark->line, focus);
  put_marks (self, mark, last - first, window);
  *shown = mark->line;

  gsize after = next_line (self, line);
  guint next_mark = last < marks->len ? g_array_index (marks, Mark, last).line : 0;
  if (after < self->size && next_mark != mark->line + 1) {
    put_line (self, kdl_document_line (self->all->doc, after), mark->line + 1, 0);
    *shown = mark->line + 1;
  }
  return last;
}

static guint
digits_of (guint number)
{
  guint digits = 1;
  while (number >= 10) {
    number /= 10;
    digits++;
  }
  return digits;
}

static void
put_box (Renderer *self, const VmDiagnostic *fault)
{
  g_autoptr (GArray) marks = collect_marks (self, fault);
  KdlPosition at = kdl_document_position (self->all->doc, fault->primary.span.offset);
  self->gutter = digits_of (g_array_index (marks, Mark, marks->len - 1).line + 1);

  put_blanks (self, self->gutter + 2);
  put_painted (self, DIM, self->pen->corner);
  g_string_append_c (self->out, '[');
  put_text (self, self->all->file);
  g_string_append_printf (self->out, ":%u:%u]", at.line, at.column);
  end_line (self);

  guint shown = 0;
  for (guint i = 0; i < marks->len;)
    i = put_marked_line (self, marks, i, &shown);
  put_blanks (self, self->gutter + 2);
  put_painted (self, DIM, self->pen->foot);
  end_line (self);
}

static void
put_diagnostic (Renderer *self, const VmDiagnostic *fault)
{
  put_painted (self, RED, "Error:");
  g_string_append_printf (self->out, " %s\n  ", vm_diagnostic_code_name (fault));
  put_painted (self, RED, self->pen->cross);
  g_string_append_c (self->out, ' ');
  put_text (self, fault->message);
  end_line (self);
  put_box (self, fault);
  if (fault->help == NULL)
    return;
  g_string_append (self->out, "  ");
  put_painted (self, CYAN, "help:");
  g_string_append_c (self->out, ' ');
  put_text (self, fault->help);
  end_line (self);
}

char *
vm_diagnostics_to_text (const VmDiagnostics *self, VmRenderFlags flags)
{
  Renderer renderer = { .all = self, .flags = flags, .out = g_string_new (NULL) };
  renderer.source = kdl_document_source (self->doc, &renderer.size);
  renderer.pen = (flags & VM_RENDER_UNICODE) ? &unicode_pen : &ascii_pen;
  for (guint i = 0; i < self->list->len; i++) {
    if (i > 0)
      g_string_append_c (renderer.out, '\n');
    put_diagnostic (&renderer, self->list->pdata[i]);
  }
  if (self->n_further > 0)
    g_string_append_printf (renderer.out, "\nand %u more\n", self->n_further);
  return g_string_free (renderer.out, FALSE);
}
