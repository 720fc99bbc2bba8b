#include "cli.h"

static json_t *
row_object(json_t *columns, json_t *row)
{
	json_t *object = json_object(), *column;
	size_t c;

	json_array_foreach(columns, c, column)
	{
		const char *name = json_string_value(json_object_get(column, "name"));

		if (name != NULL)
			json_object_set(object, name, json_array_get(row, c));
	}
	return object;
}

static json_t *
table_object(json_t *table)
{
	json_t *columns = json_object_get(table, "columns"), *rows = json_array();
	json_t *object = json_copy(table), *row;
	size_t r;

	json_array_foreach(json_object_get(table, "rows"), r, row)
		json_array_append_new(rows, row_object(columns, row));
	json_object_set_new(object, "rows", rows);
	return object;
}

json_t *
cli_json(json_t *document)
{
	json_t *tables = json_object_get(document, "tables"), *all, *table, *object;
	size_t i;

	if (json_is_array(json_object_get(document, "columns")))
		return table_object(document);
	if (!json_is_array(tables))
		return json_incref(document);
	all = json_array();
	json_array_foreach(tables, i, table) json_array_append_new(all, table_object(table));
	object = json_copy(document);
	json_object_set_new(object, "tables", all);
	return object;
}
