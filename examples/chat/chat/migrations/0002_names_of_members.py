"""Give the author as much room as a username may take."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Alter the field Message.author."""

    dependencies = [("chat", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="message", name="author", field=models.CharField(max_length=150)
        ),
    ]
