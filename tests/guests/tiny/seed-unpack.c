/* SPDX-License-Identifier: MPL-2.0 */
/*
 * seed-unpack yaml FILE DIR        a YAML (or JSON) document as a tree of files
 * seed-unpack user-data FILE DIR   cloud-init user-data or vendor-data, by parts
 *
 * For the tiny guest's init, which is a shell script and wants plain files. A
 * mapping becomes a folder with one entry per key, a sequence a folder with
 * entries 0000, 0001, ..., a scalar a file that holds exactly its value. User-data
 * becomes DIR/00-config (such a tree), DIR/01-boothook, DIR/02-script, ...
 * numbered in the order in which the parts appear.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <yaml.h>

enum { MAX_DEPTH = 32, MAX_BYTES = 16 << 20 };

/* Text that somebody else owns. */
typedef struct {
  const char *at;
  size_t size;
} Text;

static Text
text_of (const char *string)
{
  return (Text){ string, strlen (string) };
}

static bool
text_has_prefix (Text text, const char *prefix)
{
  size_t size = strlen (prefix);
  return text.size >= size && memcmp (text.at, prefix, size) == 0;
}

static bool
text_has_prefix_nocase (Text text, const char *prefix)
{
  size_t size = strlen (prefix);
  return text.size >= size && strncasecmp (text.at, prefix, size) == 0;
}

static Text
text_skip (Text text, size_t bytes)
{
  return (Text){ text.at + bytes, text.size - bytes };
}

static Text
text_skip_blank (Text text)
{
  while (text.size > 0 && strchr (" \t\r\n", *text.at) != NULL && *text.at != '\0')
    text = text_skip (text, 1);
  return text;
}

/* Takes the first line, without its line end, off text. */
static Text
text_take_line (Text *text)
{
  const char *end = memchr (text->at, '\n', text->size);
  size_t size = end != NULL ? (size_t) (end - text->at) : text->size;
  Text line = { text->at, size };
  *text = text_skip (*text, end != NULL ? size + 1 : size);
  if (line.size > 0 && line.at[line.size - 1] == '\r')
    line.size--;
  return line;
}

static Text
read_file (const char *path)
{
  FILE *file = fopen (path, "re");
  char *bytes = malloc (MAX_BYTES + 1);
  if (file == NULL || bytes == NULL)
    err (1, "%s", path);
  size_t size = fread (bytes, 1, MAX_BYTES + 1, file);
  if (ferror (file) || size > MAX_BYTES)
    errx (1, "%s: unreadable or too large", path);
  fclose (file);
  bytes[size] = '\0';
  return (Text){ bytes, size };
}

/* Private keys and scripts with secrets come through here: nobody else reads them. */
static void
write_file (const char *path, Text text)
{
  int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  FILE *file = fd >= 0 ? fdopen (fd, "w") : NULL;
  if (file == NULL || fwrite (text.at, 1, text.size, file) != text.size || fclose (file) != 0)
    err (1, "%s", path);
}

static void
make_folder (const char *path)
{
  if (mkdir (path, 0700) != 0 && errno != EEXIST)
    err (1, "%s", path);
}

static bool
is_file_name (const yaml_node_t *key)
{
  if (key->type != YAML_SCALAR_NODE)
    return false;
  const char *name = (const char *) key->data.scalar.value;
  size_t size = key->data.scalar.length;
  return size > 0 && size < 200 && strlen (name) == size && strchr (name, '/') == NULL &&
         strcmp (name, ".") != 0 && strcmp (name, "..") != 0;
}

static void write_node (yaml_document_t *document, int id, const char *path, int depth);

static void
write_mapping (yaml_document_t *document, const yaml_node_t *node, const char *path, int depth)
{
  make_folder (path);
  const yaml_node_pair_t *end = node->data.mapping.pairs.top;
  for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < end; pair++) {
    const yaml_node_t *key = yaml_document_get_node (document, pair->key);
    if (!is_file_name (key)) {
      warnx ("%s: left out a key that cannot be a file name", path);
      continue;
    }
    char *child = NULL;
    if (asprintf (&child, "%s/%s", path, key->data.scalar.value) < 0)
      err (1, "memory");
    write_node (document, pair->value, child, depth + 1);
    free (child);
  }
}

static void
write_sequence (yaml_document_t *document, const yaml_node_t *node, const char *path, int depth)
{
  make_folder (path);
  const yaml_node_item_t *start = node->data.sequence.items.start;
  for (const yaml_node_item_t *item = start; item < node->data.sequence.items.top; item++) {
    char *child = NULL;
    if (asprintf (&child, "%s/%04zu", path, (size_t) (item - start)) < 0)
      err (1, "memory");
    write_node (document, *item, child, depth + 1);
    free (child);
  }
}

static void
write_node (yaml_document_t *document, int id, const char *path, int depth)
{
  /* Aliases make a graph of the document, perhaps one with a cycle. */
  if (depth > MAX_DEPTH)
    errx (1, "%s: nested too deeply", path);
  const yaml_node_t *node = yaml_document_get_node (document, id);
  if (node->type == YAML_MAPPING_NODE)
    write_mapping (document, node, path, depth);
  else if (node->type == YAML_SEQUENCE_NODE)
    write_sequence (document, node, path, depth);
  else
    write_file (path, (Text){ (const char *) node->data.scalar.value, node->data.scalar.length });
}

static void
unpack_yaml (Text text, const char *path)
{
  yaml_parser_t parser;
  yaml_document_t document;
  if (!yaml_parser_initialize (&parser))
    errx (1, "memory");
  yaml_parser_set_input_string (&parser, (const unsigned char *) text.at, text.size);
  if (!yaml_parser_load (&parser, &document))
    errx (1, "%s: line %zu: %s", path, parser.problem_mark.line + 1, parser.problem);
  if (yaml_document_get_root_node (&document) != NULL)
    write_node (&document, 1, path, 0);
  yaml_document_delete (&document);
  yaml_parser_delete (&parser);
}

/* Where the parts go, and the number of the next one. */
typedef struct {
  const char *folder;
  int next;
} Output;

static char *
output_path (Output *output, const char *kind)
{
  char *path = NULL;
  if (asprintf (&path, "%s/%02d-%s", output->folder, output->next++, kind) < 0)
    err (1, "memory");
  return path;
}

static void
unpack_script (Text text, const char *kind, Output *output)
{
  char *path = output_path (output, kind);
  write_file (path, text);
  if (chmod (path, 0700) != 0)
    err (1, "%s", path);
  free (path);
}

static void
unpack_config (Text text, Output *output)
{
  char *path = output_path (output, "config");
  unpack_yaml (text, path);
  free (path);
}

static void
unpack_boothook (Text text, Output *output)
{
  if (text_has_prefix (text, "#cloud-boothook"))
    text = text_skip_blank (text_skip (text, strlen ("#cloud-boothook")));
  unpack_script (text, "boothook", output);
}

static void unpack_multipart (Text body, const char *boundary, int depth, Output *output);

typedef struct {
  char type[256];
  char boundary[128];
  bool is_base64;
} Header;

static void
read_parameter (const char *value, const char *name, char *out, size_t out_size)
{
  const char *at = strcasestr (value, name);
  if (at == NULL)
    return;
  at += strlen (name);
  bool is_quoted = *at == '"';
  at += is_quoted;
  size_t size = strcspn (at, is_quoted ? "\"" : "; \t");
  if (size < out_size)
    snprintf (out, out_size, "%.*s", (int) size, at);
}

static void
read_header_line (const char *line, Header *header)
{
  const char *value = strchr (line, ':');
  if (value == NULL)
    return;
  Text name = text_of (line);
  value += 1 + strspn (value + 1, " \t");
  if (text_has_prefix_nocase (name, "content-type:")) {
    snprintf (header->type, sizeof header->type, "%.*s", (int) strcspn (value, "; \t"), value);
    read_parameter (value, "boundary=", header->boundary, sizeof header->boundary);
  } else if (text_has_prefix_nocase (name, "content-transfer-encoding:")) {
    header->is_base64 = strcasecmp (value, "base64") == 0;
    if (strcasecmp (value, "quoted-printable") == 0)
      errx (1, "quoted-printable parts are not supported");
  }
}

/* Takes the header block off text; a line that starts with a blank goes on the one before. */
static Header
take_header (Text *text)
{
  Header header = { .type = "text/plain" };
  char line[1024] = "";
  while (text->size > 0) {
    Text next = text_take_line (text);
    bool is_folded = next.size > 0 && (next.at[0] == ' ' || next.at[0] == '\t');
    if (!is_folded) {
      read_header_line (line, &header);
      line[0] = '\0';
    }
    if (next.size == 0)
      break;
    size_t used = strlen (line);
    snprintf (line + used, sizeof line - used, "%.*s", (int) next.size, next.at);
  }
  return header;
}

static int
base64_digit (char c)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *at = c != '\0' ? strchr (digits, c) : NULL;
  return at != NULL ? (int) (at - digits) : -1;
}

static Text
decode_base64 (Text text)
{
  char *out = malloc (text.size + 1);
  if (out == NULL)
    err (1, "memory");
  size_t size = 0;
  unsigned bits = 0;
  int held = 0;
  for (size_t i = 0; i < text.size && text.at[i] != '='; i++) {
    int digit = base64_digit (text.at[i]);
    if (digit < 0)
      continue;
    bits = bits << 6 | (unsigned) digit;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out[size++] = (char) (bits >> held);
    }
  }
  out[size] = '\0';
  return (Text){ out, size };
}

/* By content: the whole of user-data, or a part whose type doesn't say. */
static void
unpack_by_content (Text text, int depth, Output *output)
{
  if (text_has_prefix (text, "#cloud-config"))
    unpack_config (text, output);
  else if (text_has_prefix (text, "#cloud-boothook"))
    unpack_boothook (text, output);
  else if (text_has_prefix (text, "#!"))
    unpack_script (text, "script", output);
  else if (text_has_prefix_nocase (text, "content-type:") ||
           text_has_prefix_nocase (text, "mime-version:")) {
    Header header = take_header (&text);
    unpack_multipart (text, header.boundary, depth + 1, output);
  } else if (text_skip_blank (text).size > 0)
    warnx ("%s: left out a part of unknown kind", output->folder);
}

static void
unpack_part (Text part, int depth, Output *output)
{
  Header header = take_header (&part);
  Text body = header.is_base64 ? decode_base64 (part) : part;
  if (text_has_prefix_nocase (text_of (header.type), "multipart/"))
    unpack_multipart (body, header.boundary, depth + 1, output);
  else if (strcasecmp (header.type, "text/cloud-config") == 0)
    unpack_config (body, output);
  else if (strcasecmp (header.type, "text/cloud-boothook") == 0)
    unpack_boothook (body, output);
  else if (strcasecmp (header.type, "text/x-shellscript") == 0)
    unpack_script (body, "script", output);
  else
    unpack_by_content (body, depth, output);
}

/* RFC 2046, 5.1.1: the line end before a delimiter belongs to the delimiter, but a script
   or a configuration is none the worse for keeping it. */
static void
unpack_multipart (Text body, const char *boundary, int depth, Output *output)
{
  char *delimiter = NULL;
  if (boundary[0] == '\0' || depth > MAX_DEPTH)
    errx (1, "%s: a multipart without a boundary, or nested too deeply", output->folder);
  if (asprintf (&delimiter, "--%s", boundary) < 0)
    err (1, "memory");
  Text part = { NULL, 0 };
  bool is_last = false;
  while (body.size > 0 && !is_last) {
    Text line = text_take_line (&body);
    if (!text_has_prefix (line, delimiter))
      continue;
    if (part.at != NULL)
      unpack_part ((Text){ part.at, (size_t) (line.at - part.at) }, depth, output);
    part = body;
    is_last = text_has_prefix (text_skip (line, strlen (delimiter)), "--");
  }
  if (part.at != NULL && !is_last)
    unpack_part (part, depth, output);
  free (delimiter);
}

int
main (int argc, char **argv)
{
  if (argc != 4)
    errx (2, "usage: seed-unpack yaml|user-data FILE DIR");
  Text text = read_file (argv[2]);
  if (strcmp (argv[1], "yaml") == 0) {
    unpack_yaml (text, argv[3]);
    return 0;
  }
  Output output = { .folder = argv[3] };
  make_folder (argv[3]);
  unpack_by_content (text, 0, &output);
  return 0;
}
